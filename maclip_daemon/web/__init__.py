"""The review page: Starlette, uvicorn, Jinja2, plain ES modules and CSS, and nothing from another host."""
