--[[
Commits a batch of operations to the log of one partition. It knows nothing of sessions or accounts.

KEYS[1]   stream of the partition
KEYS[2]   lane record: number and results of the lane's last batch
KEYS[3..] keys of the operations, which name them by position (1 is KEYS[3])
ARGV[1]   number of the batch; a number seen before returns the results of then and changes nothing
ARGV[2]   seconds that the lane record is kept
ARGV[3]   operations, one flat JSON array: how many there are, and for each
            how many checks, and for each: key, field, what the record begins with
                "<version> <time of its commit> ", or "<version> "; "" for no record; "none" for no key, of whatever type;
                field "" for a record that is a whole key
            how many events, and each as it is to stand in the log
            how many writes, and for each one of
                "put", key, field, version, body, expires at (ms) or 0
                "delete", key, field
                "rank", key, member            sorted set, score = time of the commit (ms)
                "place", key, member, score    sorted set
                "unrank", key, member
                "add", key, member             set
                "remove", key, member
                "note", key, text, seconds     a plain string that expires
                "stamp", key, field            field of a hash: the time of the commit (ms)
              Versions are texts: numbers that become part of a text are slow to print.

Returns the results of the operations in their order, a flat JSON array: for those that were committed, "time of the commit in
ms", how many have it; for one of which nothing was done, because a check failed, [position of the check from 0, the record
found or ""].

A record is stored as "<version> <time of the commit in ms> <body>". All checks of all operations come before the first
write; an operation sees the records that earlier ones of its batch are going to write.

A script that fails halfway, because the user has no right to one of its commands, keeps what it has written. So of an
operation the records come first, then its events, then the indexes: what is tried again then finds its version taken, and
no event comes twice. Sets come last of all, for all operations in one command each.
]]
local call = redis.call
local number = tonumber(ARGV[1])
local lane = call('GET', KEYS[2])
if lane then
  local last, results = lane:match('^(%d+) (.*)$')
  last = tonumber(last)
  if last == number then
    call('EXPIRE', KEYS[2], ARGV[2]) -- a write, so that a WAIT after this call has something to wait for
    return results
  elseif last > number then
    return redis.error_reply('STALEBATCH lane is at ' .. last .. ', got ' .. number)
  end
end

local flat = cjson.decode(ARGV[3])
local results = {}
local events = {} -- where those of each operation are
local pending = {} -- where a record is going to be put or deleted, by key and field; a key may have several positions

-- how many slots a write takes
local SLOTS = { put = 6, delete = 3, rank = 3, place = 4, unrank = 3, add = 3, remove = 3, note = 4, stamp = 3 }

local clock
local function now()
  if not clock then
    local time = call('TIME')
    clock = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  end
  return clock
end

local function recordOf(put, time)
  return flat[put + 3] .. ' ' .. time .. ' ' .. flat[put + 4]
end

-- the record if it is another one than it should be
local function mismatch(key, field, beginning)
  local name = KEYS[key + 2]
  if beginning == 'none' then
    return call('EXISTS', name) == 1 and ''
  end
  local write = pending[name] and pending[name][field]
  local record
  if write then
    record = flat[write] == 'put' and recordOf(write, now()) or ''
  elseif field == '' then
    record = call('GET', name) or ''
  else
    record = call('HGET', name, field) or ''
  end
  local isIt = beginning == '' and record == '' or beginning ~= '' and record:sub(1, #beginning) == beginning
  return not isIt and record
end

local at = 2
for i = 1, flat[1] do
  local refusal = false
  local checks = flat[at]
  at = at + 1
  for position = 0, checks - 1 do
    local record = not refusal and mismatch(flat[at], flat[at + 1], flat[at + 2])
    if record then
      refusal = { position, record }
    end
    at = at + 3
  end
  results[i] = refusal
  events[i] = at
  at = at + 1 + flat[at]
  local writes = flat[at]
  at = at + 1
  for _ = 1, writes do
    local kind = flat[at]
    if not refusal and (kind == 'put' or kind == 'delete') then
      local key = KEYS[flat[at + 1] + 2]
      local fields = pending[key]
      if not fields then
        fields = {}
        pending[key] = fields
      end
      fields[flat[at + 2]] = at
    end
    at = at + SLOTS[kind]
  end
end

local IS_RECORD = { put = true, delete = true }
local sets = {} -- what becomes of members of sets, by key and member

local function apply(write, time)
  local kind, key, member = flat[write], KEYS[flat[write + 1] + 2], flat[write + 2]
  if kind == 'put' then
    local expiresAt = flat[write + 5]
    if member ~= '' then
      call('HSET', key, member, recordOf(write, time))
    elseif expiresAt > 0 then
      call('SET', key, recordOf(write, time), 'PXAT', string.format('%.0f', expiresAt))
    else
      call('SET', key, recordOf(write, time))
    end
  elseif kind == 'rank' then
    call('ZADD', key, time, member)
  elseif kind == 'add' or kind == 'remove' then
    local members = sets[key]
    if not members then
      members = {}
      sets[key] = members
    end
    members[member] = kind
  elseif kind == 'unrank' then
    call('ZREM', key, member)
  elseif kind == 'delete' then
    if member == '' then
      call('DEL', key)
    else
      call('HDEL', key, member)
    end
  elseif kind == 'place' then
    call('ZADD', key, string.format('%.0f', flat[write + 3]), member)
  elseif kind == 'note' then
    call('SET', key, member, 'EX', flat[write + 3])
  elseif kind == 'stamp' then
    call('HSET', key, member, time)
  end
end

-- the records of an operation, or its indexes; `at` is where its writes are
local function applyAll(at, areRecords)
  local write = at + 1
  for _ = 1, flat[at] do
    local kind = flat[write]
    if (IS_RECORD[kind] or false) == areRecords then
      apply(write, now())
    end
    write = write + SLOTS[kind]
  end
end

local function add(event, id)
  return redis.pcall('XADD', KEYS[1], id, 'e', flat[event])
end

for i = 1, flat[1] do
  if not results[i] then
    local at = events[i]
    local writes = at + 1 + flat[at]
    applyAll(writes, true)
    for event = at + 1, writes - 1 do
      local id = add(event, now() .. '-*')
      if id.err then
        -- the clock was set back: the time is that of the last event, and the records have it, too
        id = add(event, '*')
        if id.err then
          return id
        end
        clock = id:match('^%d+')
        applyAll(writes, true)
      end
    end
    applyAll(writes, false)
    results[i] = now()
  end
end

-- how many members a command takes at most: Lua's stack is not endless
local MEMBERS = 1000

local function callWith(command, key, members)
  for from = 1, #members, MEMBERS do
    call(command, key, unpack(members, from, math.min(from + MEMBERS - 1, #members)))
  end
end

for key, members in pairs(sets) do
  local added, removed = {}, {}
  for member, kind in pairs(members) do
    local list = kind == 'add' and added or removed
    list[#list + 1] = member
  end
  callWith('SADD', key, added)
  callWith('SREM', key, removed)
end

-- equal times in succession are told once
local told = {}
for i = 1, flat[1] do
  local result = results[i]
  if type(result) == 'string' and told[#told - 1] == result then
    told[#told] = told[#told] + 1
  else
    told[#told + 1] = result
    if type(result) == 'string' then
      told[#told + 1] = 1
    end
  end
end
local answer = cjson.encode(told)
call('SET', KEYS[2], number .. ' ' .. answer, 'EX', ARGV[2])
return answer
