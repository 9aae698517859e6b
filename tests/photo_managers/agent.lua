-- Runs inside of a real darktable: carries out the Lua snippets that a test leaves in a folder.
-- $MACLIP_AGENT/request.lua is run, and what it returns lies as JSON in $MACLIP_AGENT/answer.json.
local darktable = require "darktable"
local folder = assert(os.getenv("MACLIP_AGENT"))

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\" }

local function json(value)
  if type(value) == "table" then
    local parts = {}
    if #value > 0 or next(value) == nil then
      for _, each in ipairs(value) do parts[#parts + 1] = json(each) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for key, each in pairs(value) do parts[#parts + 1] = json(tostring(key)) .. ":" .. json(each) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  elseif value == nil then
    return "null"
  end
  return '"' .. tostring(value):gsub('[%c"\\]', function(character)
    return ESCAPES[character] or string.format("\\u%04x", character:byte())
  end) .. '"'
end

local function carry_out(path)
  local snippet, problem = loadfile(path)
  if not snippet then return { error = problem } end
  local ok, result = xpcall(snippet, debug.traceback)
  if ok then return { done = true, result = result } end
  return { error = tostring(result) }
end

darktable.control.dispatch(function()
  -- Work before the window stands can wait for the drawing thread, which then waits for the work.
  darktable.control.sleep(1000)
  while not darktable.control.ending do
    local request = folder .. "/request.lua"
    local file = io.open(request)
    if file then
      file:close()
      local answer = json(carry_out(request))
      os.remove(request)
      local part = assert(io.open(folder .. "/answer.part", "wb"))
      part:write(answer)
      part:close()
      os.rename(folder .. "/answer.part", folder .. "/answer.json")
    end
    darktable.control.sleep(20)
  end
end)
