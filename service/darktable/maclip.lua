--[[ MA-CLIP in darktable's lighttable: explain a photo's score, take over stars, find the worst, group bursts.

For darktable 4.2 and later on Linux and macOS. `maclip service install --darktable` puts this file into
darktable's configuration folder, as lua/maclip.lua, with the path of the installed program in the line below.
Switch it on with a line in the file luarc of the same folder:

    require "maclip"

It calls `maclip … --json`; the daemon need not run. It writes only the ratings that you take over with its
button, and never over a rating of your own. It groups bursts, and never changes a group that you made.

$seal
]]

local darktable = require "darktable"

local COMMAND = { "maclip" }

local WORST_COUNT = 50
local CLEARLY, SOMEWHAT = 0.65, 0.55 -- agreement with one side of a prompt pair; 0.5 is neither
local EVERYTHING = 1000000000 -- rows: `maclip worst` has no option for all
local PAIRS = { -- property, its good and its bad side
  { "good", "good image", "bad image" },
  { "sharpness", "sharp", "blurry" },
  { "edges", "sharp edges", "blurry edges" },
  { "resolution", "high resolution", "low resolution" },
  { "noise_free", "clean", "noisy" },
}

local plugin = {}

-- JSON (RFC 8259), reading only ----------------------------------------------------------------------------

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local NAMES = { ["true"] = true, ["false"] = false }
local value_at

local function string_at(text, at)
  local parts = {}
  while true do
    local stop = assert(text:find('["\\]', at), "JSON: a text without its end")
    parts[#parts + 1] = text:sub(at, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local letter = text:sub(stop + 1, stop + 1)
    at = stop + 2
    if letter == "u" then
      local code = tonumber(text:sub(at, at + 3), 16)
      at = at + 4
      local low = text:match("^\\u([dD][c-fC-F]%x%x)", at)
      if code >= 0xD800 and code < 0xDC00 and low then
        code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
        at = at + 6
      end
      -- Python writes a byte of a file name that is no UTF-8 as U+DC80 and up (PEP 383).
      local lone_byte = code >= 0xDC80 and code <= 0xDCFF
      parts[#parts + 1] = lone_byte and string.char(code - 0xDC00) or utf8.char(code)
    else
      parts[#parts + 1] = ESCAPES[letter] or letter
    end
  end
end

local function container_at(text, at, closing)
  local result = {}
  at = text:match("^%s*()", at)
  while text:sub(at, at) ~= closing do
    local key
    if closing == "}" then
      key, at = value_at(text, at)
      at = assert(text:match("^%s*:()", at), "JSON: a name without a value")
    else
      key = #result + 1
    end
    local value
    value, at = value_at(text, at)
    result[key] = value
    at = text:match("^%s*,?%s*()", at)
    assert(at <= #text, "JSON: cut off")
  end
  return result, at + 1
end

function value_at(text, at)
  at = text:match("^%s*()", at)
  local first = text:sub(at, at)
  if first == '"' then return string_at(text, at + 1) end
  if first == "{" then return container_at(text, at + 1, "}") end
  if first == "[" then return container_at(text, at + 1, "]") end
  local word = text:match("^[%w%.%+%-]+", at)
  assert(word, "JSON: cut off")
  local value = NAMES[word]
  if value == nil then value = tonumber(word) end -- null is nil
  return value, at + #word
end

-- Running maclip ---------------------------------------------------------------------------------------------

-- Quote one word for the shell, which reads every byte in single quotes literally.
local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

-- Run a command line while darktable stays usable. Return its output, its error output, and its exit code.
local function run(command)
  local output, complaint, status = os.tmpname(), os.tmpname(), os.tmpname()
  darktable.control.execute(
    "( " .. command .. " ) </dev/null >" .. quote(output) .. " 2>" .. quote(complaint)
    .. "; echo $? >" .. quote(status)
  )
  local printed, complained, code = read_file(output), read_file(complaint), tonumber(read_file(status))
  for _, path in ipairs { output, complaint, status } do os.remove(path) end
  return printed or "", complained or "", code
end

-- Run maclip. Return its output, or nil and a sentence with the problem.
local function maclip(arguments, may_fail_partly)
  local words = {}
  for _, word in ipairs(COMMAND) do words[#words + 1] = quote(word) end
  for _, word in ipairs(arguments) do words[#words + 1] = quote(word) end
  local printed, complained, code = run(table.concat(words, " "))
  if code == 0 or (may_fail_partly and code == 1 and printed ~= "") then return printed end
  if code == 126 or code == 127 or complained:find("No module named maclip_daemon", 1, true) then
    return nil, "maclip was not found (" .. COMMAND[1] .. "). Install it again, then this plugin: "
      .. "maclip service install --darktable"
  end
  local sentence = complained:match("[^\n]*%S[^\n]*%s*$") or "maclip ended with exit code " .. tostring(code) .. ". Run maclip doctor in a terminal."
  return nil, (sentence:gsub("%s+$", ""))
end

local function rows_of(printed)
  local rows = {}
  for line in printed:gmatch("[^\n]+") do rows[#rows + 1] = value_at(line, 1) end
  return rows
end

local function path_of(image)
  return image.path .. "/" .. image.filename
end

-- Return the folder as maclip stores it: without symbolic links.
local function real_folder(folder)
  local printed = run("cd -- " .. quote(folder) .. " && pwd -P")
  return (printed:gsub("\n$", ""))
end

-- Return the rows that a command of maclip prints for the folders of the images, each with its darktable image.
--
-- `arguments` ends with an option that takes a folder.
local function rows_for(images, arguments)
  local by_path, folders = {}, {}
  for _, image in ipairs(images) do
    if not folders[image.path] then folders[image.path] = real_folder(image.path) end
    -- Duplicates share one file; the first one represents it.
    local path = folders[image.path] .. "/" .. image.filename
    if not by_path[path] or image.duplicate_index < by_path[path].duplicate_index then by_path[path] = image end
  end
  local found, seen = {}, {}
  for _, folder in pairs(folders) do
    local words = { table.unpack(arguments) }
    words[#words + 1] = folder
    local printed, problem = maclip(words)
    if not printed then return nil, problem end
    for _, row in ipairs(rows_of(printed)) do
      if by_path[row.path] and not seen[row.path] then
        seen[row.path] = true
        row.image = by_path[row.path]
        found[#found + 1] = row
      end
    end
  end
  return found
end

-- Return the scored photos among the images, lowest first.
local function scored(images)
  local found, problem = rows_for(images, { "worst", "--all", "--format", "json", "--number", EVERYTHING, "--under" })
  if not found then return nil, problem end
  table.sort(found, function(one, other) return one.score < other.score end)
  return found
end

-- Whose rating is it ----------------------------------------------------------------------------------------

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

-- Return the rating to take over for a photo, or nil and the reason.
--
-- A star in darktable is a person's, whether a sidecar holds it or not. Three are not: none at all, one that
-- maclip wrote at any time and darktable read, and the first one that darktable itself gives to new photos.
local function rating_to_take(image, row)
  if row.rating_owner == "person" then return nil, "person" end
  if row.rating_owner ~= "maclip" then return nil, "none" end
  local sidecar = read_file(image.sidecar)
  local stars = row.rating
  if sidecar then
    local rating = tonumber(sidecar:match('xmp:Rating="(-?%d+)"') or sidecar:match("<xmp:Rating>(-?%d+)<"))
    local ours = tonumber(sidecar:match('maclip:Stars="(-?%d+)"') or sidecar:match("<maclip:Stars>(-?%d+)<"))
    if rating and rating ~= 0 and rating ~= ours then return nil, "person" end
    stars = ours or stars
  end
  local first = darktable.preferences.read("darktable", "ui_last/import_initial_rating", "integer")
  local shown = image.rating
  if shown ~= 0 and shown ~= stars and shown ~= first and not contains(row.written, shown) then
    return nil, "person"
  end
  if not stars then return nil, "none" end
  return stars
end

-- What the panel shows ---------------------------------------------------------------------------------------

local text = darktable.new_widget("label") { label = "", halign = "start", selectable = true }

local function show(...)
  text.label = table.concat({ ... }, "\n")
end

local function stars_of(count)
  if not count then return "no stars yet" end
  if count < 0 then return "rejected" end
  return string.rep("★", count) .. string.rep("☆", 5 - count)
end

local function in_words(value, good, bad)
  local agreement, word = value, good
  if value < 0.5 then agreement, word = 1 - value, bad end
  if agreement >= CLEARLY then return "clearly " .. word end
  if agreement >= SOMEWHAT then return "rather " .. word end
  return "neither " .. good .. " nor " .. bad
end

local function pairs_of(values)
  local lines = {}
  for _, pair in ipairs(PAIRS) do
    local value = values[pair[1]]
    if value then lines[#lines + 1] = "  " .. in_words(value, pair[2], pair[3]) end
  end
  return lines
end

-- Return what was measured on the photo's pixels.
local function measured_of(row)
  local lines = {}
  if row.focus then lines[#lines + 1] = string.format("  %.1f px blur where it is sharpest", row.focus) end
  if row.motion and row.motion > 0 then lines[#lines + 1] = string.format("  moved %.0f px", row.motion) end
  if row.noise then lines[#lines + 1] = string.format("  noise %.1f of 255", row.noise) end
  if row.clipped_highlights then
    lines[#lines + 1] = string.format(
      "  clipped: highlights %.1f %%, shadows %.1f %%", row.clipped_highlights, row.clipped_shadows or 0)
  end
  if #lines > 0 then table.insert(lines, 1, "measured:") end
  return lines
end

local function describe(detail)
  local row = detail.quality
  if detail.failure then return { "failed: " .. detail.failure } end
  if not row then return { "no score yet (" .. detail.state .. ")" } end
  local rank = row.percentile and string.format(", better than %.1f %% of your photos", row.percentile) or ""
  local lines = { string.format("%.4f%s", row.score, rank), stars_of(row.stars) }
  for reason in (row.reasons or ""):gmatch("[^;]+") do lines[#lines + 1] = "• " .. reason:match("^%s*(.*)$") end
  if row.rating_owner == "person" then lines[2] = lines[2] .. ", rated by you: " .. stars_of(row.rating_in_file) end
  for _, line in ipairs(measured_of(row)) do lines[#lines + 1] = line end
  lines[#lines + 1] = "in the model's words:"
  for _, line in ipairs(pairs_of(row)) do lines[#lines + 1] = line end
  lines[#lines + 1] = row.model .. " · " .. row.metric .. " · " .. row.protocol
  return lines
end

local request_count = 0 -- counts requests, so that a slow answer never replaces a later one
local selected_here = 0 -- photos that the panel itself selected: its text then stays

local function new_request()
  request_count = request_count + 1
  return request_count
end

function plugin.explain()
  local images = darktable.gui.selection()
  if #images > 1 and #images == selected_here then return end
  selected_here = 0
  local request = new_request()
  if #images ~= 1 then
    show(#images == 0 and "Select a photo." or #images .. " photos are selected.")
    return
  end
  local image = images[1]
  local printed, problem = maclip { "show", "--json", "--", path_of(image) }
  if request ~= request_count then return end
  if not printed then
    show(image.filename, problem)
  else
    show(image.filename, table.unpack(describe(value_at(printed, 1))))
  end
end

-- The buttons ------------------------------------------------------------------------------------------------

function plugin.take_over()
  local images = darktable.gui.selection()
  if #images == 0 then return show("Select the photos that should get stars.") end
  new_request()
  local rows, problem = rows_for(images, { "ratings", "--json", "--under" })
  if not rows then return show(problem) end
  local counts = { taken = 0, same = 0, person = 0, none = #images - #rows }
  for _, row in ipairs(rows) do
    local stars, why = rating_to_take(row.image, row)
    if not stars then
      counts[why] = counts[why] + 1
    elseif stars == row.image.rating then
      counts.same = counts.same + 1
    else
      row.image.rating = stars
      counts.taken = counts.taken + 1
    end
  end
  show(
    counts.taken .. " taken over, " .. counts.same .. " had the same stars already,",
    counts.person .. " rated by you and left alone,",
    counts.none .. " without stars from maclip"
  )
end

function plugin.select_worst()
  new_request()
  local rows, problem = scored(darktable.collection)
  if not rows then return show(problem) end
  local worst = {}
  for index = 1, math.min(plugin.count.value, #rows) do worst[index] = rows[index].image end
  if #worst == 0 then
    return show("No photo of this collection has a score yet.", "The button 'score now' scores selected photos.")
  end
  selected_here = #worst
  darktable.gui.selection(worst)
  show(#worst == 1 and "The worst photo of this collection is selected."
      or "The worst " .. #worst .. " of this collection are selected.",
    "Press X to see them side by side (culling).")
end

-- Bursts ------------------------------------------------------------------------------------------------------

-- The groups that this panel made, one a line, as sorted image numbers: any other group is a person's.
local GROUPS_FILE = darktable.configuration.config_dir .. "/maclip-groups"

local function name_of(images)
  local numbers = {}
  for index, image in ipairs(images) do numbers[index] = image.id end
  table.sort(numbers)
  return table.concat(numbers, " ")
end

local function read_groups()
  local made = {}
  for line in (read_file(GROUPS_FILE) or ""):gmatch("[^\n]+") do made[line] = true end
  return made
end

local function remember_groups(names)
  if #names == 0 then return end
  local file = io.open(GROUPS_FILE, "ab")
  if not file then return end
  file:write(table.concat(names, "\n"), "\n")
  file:close()
end

local function stem_of(image)
  return image.path .. "/" .. (image.filename:match("^(.*)%.[^.]*$") or image.filename)
end

-- Return whether a group holds one image, or is darktable's own: a RAW and its JPEG, an image and its duplicates.
local function is_one_shot(images)
  for _, image in ipairs(images) do
    if stem_of(image) ~= stem_of(images[1]) then return false end
  end
  return true
end

-- Return the images of a burst with all that is grouped with them; nil when some are in a group of a person's.
local function members_of(row, by_path, made)
  local members, leader, seen = {}, nil, {}
  for _, frame in ipairs(row.frames) do
    for _, image in ipairs(by_path[frame.path] or {}) do
      if frame.path == row.best and (not leader or image.duplicate_index < leader.duplicate_index) then
        leader = image
      end
      local group = image:get_group_members()
      if not is_one_shot(group) and not made[name_of(group)] then return nil end
      for _, member in ipairs(group) do
        if not seen[member.id] then
          seen[member.id] = true
          members[#members + 1] = member
        end
      end
    end
  end
  return members, leader or members[1]
end

-- Group the bursts among these images, the best frame as leader. Return the counts, or nil and the problem.
local function group_bursts(images)
  local by_path, folders = {}, {}
  for _, image in ipairs(images) do
    if not folders[image.path] then folders[image.path] = real_folder(image.path) end
    local path = folders[image.path] .. "/" .. image.filename
    by_path[path] = by_path[path] or {}
    table.insert(by_path[path], image)
  end
  local counts, names, made, seen = { grouped = 0, same = 0, person = 0 }, {}, read_groups(), {}
  for _, folder in pairs(folders) do
    local printed, problem = maclip { "bursts", "--json", "--kind", "burst", "--under", folder }
    if not printed then return nil, problem end
    for _, row in ipairs(rows_of(printed)) do
      if not seen[row.burst_id] then
        seen[row.burst_id] = true
        local members, leader = members_of(row, by_path, made)
        if not members then
          counts.person = counts.person + 1
        elseif #members > 1 and not is_one_shot(members) then
          if name_of(leader:get_group_members()) == name_of(members) and leader.group_leader.id == leader.id then
            counts.same = counts.same + 1
          else
            for _, member in ipairs(members) do
              if member.id ~= leader.id then member:group_with(leader) end
            end
            leader:make_group_leader()
            names[#names + 1] = name_of(members)
            made[names[#names]] = true
            counts.grouped = counts.grouped + 1
          end
        end
      end
    end
  end
  remember_groups(names)
  return counts
end

function plugin.group_bursts()
  new_request()
  local images = {}
  for _, image in ipairs(darktable.collection) do images[#images + 1] = image end
  local counts, problem = group_bursts(images)
  if not counts then return show(problem) end
  show(
    counts.grouped .. (counts.grouped == 1 and " burst grouped, " or " bursts grouped, ")
      .. counts.same .. " were grouped already,",
    counts.person .. " left alone, because some of their photos are in a group of yours"
  )
end

local imported = {} -- images since the last look

-- Group the bursts of the film rolls that images were imported into.
function plugin.group_imported()
  if #imported == 0 then return end
  local films, images = {}, {}
  for _, image in ipairs(imported) do films[image.path] = image.film end
  imported = {}
  for _, film in pairs(films) do
    for index = 1, #film do images[#images + 1] = film[index] end
  end
  group_bursts(images) -- a photo that maclip does not know yet is in no burst
end

function plugin.score()
  local images = darktable.gui.selection()
  if #images == 0 then return show("Select the photos to score.") end
  local request = new_request()
  show("Scoring " .. (#images == 1 and "1 photo" or #images .. " photos") .. " …")
  local arguments = { "score", "--json", "--" }
  for _, image in ipairs(images) do arguments[#arguments + 1] = path_of(image) end
  local printed, problem = maclip(arguments, true)
  if request ~= request_count then return end
  if not printed then return show(problem) end
  local lines = {}
  for _, row in ipairs(rows_of(printed)) do
    local name = row.path:match("[^/]*$")
    if row.error then
      lines[#lines + 1] = name .. ": " .. row.error
    else
      lines[#lines + 1] = string.format("%s: %.4f", name, row.score)
      if #images == 1 then
        for _, line in ipairs(pairs_of(row.attributes)) do lines[#lines + 1] = line end
      end
    end
  end
  show(table.unpack(lines))
end

-- Make a button whose work does not block darktable's window; the panel shows errors.
local function button(label, tooltip, work)
  return darktable.new_widget("button") {
    label = label,
    tooltip = tooltip,
    clicked_callback = function()
      darktable.control.dispatch(function()
        local ok, problem = pcall(work)
        if not ok then show("The maclip panel failed: " .. tostring(problem)) end
      end)
    end,
  }
end

plugin.text = text
plugin.count = darktable.new_widget("slider") {
  label = "number", soft_min = 1, soft_max = 200, hard_min = 1, hard_max = 10000, step = 1, digits = 0,
}
plugin.count.value = WORST_COUNT -- last: darktable sets the fields of a table in any order, and the bounds move it
plugin.buttons = {
  take_over = button(
    "take over MA-CLIP stars",
    "give the selected photos the stars that maclip wrote; your own ratings stay, "
      .. "except the one star that darktable itself gives at import",
    plugin.take_over
  ),
  select_worst = button(
    "select the worst of this collection", "select the photos with the lowest scores", plugin.select_worst
  ),
  group_bursts = button(
    "group bursts of this collection",
    "put the frames of each burst into one group, the best frame in front; groups of your own stay",
    plugin.group_bursts
  ),
  score = button("score now", "score the selected photos; nothing is written", plugin.score),
}

darktable.register_lib(
  "maclip",
  "MA-CLIP",
  true,
  false,
  { [darktable.gui.views.lighttable] = { "DT_UI_CONTAINER_PANEL_RIGHT_CENTER", 90 } },
  darktable.new_widget("box") {
    orientation = "vertical",
    text,
    plugin.buttons.take_over,
    plugin.buttons.score,
    plugin.count,
    plugin.buttons.select_worst,
    plugin.buttons.group_bursts,
  }
)

if darktable.configuration.running_os == "windows" then
  show("This panel works on Linux and macOS.") -- commands are quoted for a POSIX shell
else
  darktable.register_event("maclip", "selection-changed", function()
    darktable.control.dispatch(plugin.explain)
  end)
  darktable.preferences.register(
    "maclip", "group_at_import", "bool", "MA-CLIP: group bursts at import",
    "put the frames of a burst that maclip knows into one group when they are imported", true
  )
  darktable.register_event("maclip", "post-import-image", function(_, image)
    imported[#imported + 1] = image
  end)
  darktable.register_event("maclip", "post-import-film", function()
    if not darktable.preferences.read("maclip", "group_at_import", "bool") then
      imported = {}
      return
    end
    darktable.control.dispatch(function() pcall(plugin.group_imported) end)
  end)
end

return plugin
