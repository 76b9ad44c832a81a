--[[
Commits a batch of operations to the log of one partition. It knows nothing of sessions or accounts.

KEYS[1]   stream of the partition
KEYS[2]   lane record: number and results of the lane's last batch
KEYS[3..] keys of the operations, which name them by position (1 is KEYS[3])
ARGV[1]   number of the batch; a number seen before returns the results of then and changes nothing
ARGV[2]   id of the committing node
ARGV[3]   seconds that the lane record is kept
ARGV[4]   operations, one flat JSON array: how many there are, and for each
            how many checks, and for each: key, field, version, time
                the record's version and the time of its commit; field "" for a record that is a whole key;
                version 0: no record; version -1: no key, of whatever type; time 0: any
            how many events, and for each: type, subject, version, data
            how many writes, and for each one of
                "put", key, field, version, body, expires at (ms) or 0
                "delete", key, field
                "rank", key, member, offset    sorted set, score = time of the commit (ms) + offset
                "place", key, member, score    sorted set
                "unrank", key, member
                "add", key, member             set
                "remove", key, member
                "note", key, text, seconds     a plain string that expires
                "stamp", key, field            field of a hash: the time of the commit (ms)

Returns JSON, a result for each operation: the id of its last event (or the time in ms, if it has none), or, when a
check failed and so nothing of the operation was done, [position of the check from 0, the record found or ""].

A record is stored as "<version> <time of the commit in ms> <body>". All checks of all operations come before the first
write; an operation sees what earlier ones of its batch are going to write.

A script that fails halfway, because the user has no right to one of its commands, keeps what it has written. So of an
operation the records come first, then its events, then the indexes: what is tried again then finds its version taken, and
no event comes twice.
]]
local call = redis.call
local number = tonumber(ARGV[1])
local lane = call('GET', KEYS[2])
if lane then
  local last, results = lane:match('^(%d+) (.*)$')
  last = tonumber(last)
  if last == number then
    call('EXPIRE', KEYS[2], ARGV[3]) -- a write, so that a WAIT after this call has something to wait for
    return results
  elseif last > number then
    return redis.error_reply('STALEBATCH lane is at ' .. last .. ', got ' .. number)
  end
end

local flat = cjson.decode(ARGV[4])
local results = {}
local events = {} -- where those of each operation are
local pending = {} -- where a record is going to be put or deleted, by key and field

-- how many slots a write takes
local SLOTS = { put = 6, delete = 3, rank = 4, place = 4, unrank = 3, add = 3, remove = 3, note = 4, stamp = 3 }

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
local function mismatch(key, field, version, time)
  if version == -1 then
    return call('EXISTS', KEYS[key + 2]) == 1 and ''
  end
  local write = pending[key] and pending[key][field]
  if write then
    local isPut = flat[write] == 'put'
    if (isPut and flat[write + 3] or 0) == version then
      return false
    end
    return isPut and recordOf(write, now()) or ''
  end
  local record
  if field == '' then
    record = call('GET', KEYS[key + 2]) or ''
  else
    record = call('HGET', KEYS[key + 2], field) or ''
  end
  local found, foundTime = record:match('^(%d+) (%d+)')
  local isIt = tonumber(found or 0) == version and (time == 0 or tonumber(foundTime) == time)
  return not isIt and record
end

local at = 2
for i = 1, flat[1] do
  local refusal = false
  local checks = flat[at]
  at = at + 1
  for position = 0, checks - 1 do
    local record = not refusal and mismatch(flat[at], flat[at + 1], flat[at + 2], flat[at + 3])
    if record then
      refusal = { position, record }
    end
    at = at + 4
  end
  results[i] = refusal
  events[i] = at
  at = at + 1 + 4 * flat[at]
  local writes = flat[at]
  at = at + 1
  for _ = 1, writes do
    local kind = flat[at]
    if not refusal and (kind == 'put' or kind == 'delete') then
      local key = flat[at + 1]
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
    local offset = flat[write + 3]
    call('ZADD', key, offset == 0 and time or string.format('%.0f', time + offset), member)
  elseif kind == 'add' then
    call('SADD', key, member)
  elseif kind == 'remove' then
    call('SREM', key, member)
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
  return redis.pcall('XADD', KEYS[1], id, 't', flat[event], 's', flat[event + 1], 'v', flat[event + 2], 'n', ARGV[2], 'd', flat[event + 3])
end

for i = 1, flat[1] do
  if not results[i] then
    local at = events[i]
    local writes = at + 1 + 4 * flat[at]
    applyAll(writes, true)
    local id
    for event = at + 1, writes - 1, 4 do
      id = add(event, now() .. '-*')
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
    results[i] = id or now()
  end
end

local answer = cjson.encode(results)
call('SET', KEYS[2], number .. ' ' .. answer, 'EX', ARGV[3])
return answer
