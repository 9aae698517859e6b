"""Photos with human opinions: how they are drawn, and how a model learns from them."""
