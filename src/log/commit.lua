--[[
Commits a batch of operations to the log of one partition. It knows nothing of sessions or accounts.

KEYS[1]   stream of the partition
KEYS[2]   lane record: number and results of the lane's last batch
KEYS[3..] keys of the operations, which name them by position (1 is KEYS[3])
ARGV[1]   number of the batch; a number seen before returns the results of then and changes nothing
ARGV[2]   id of the committing node
ARGV[3]   seconds that the lane record is kept
ARGV[4]   operations, JSON: [[checks, events, writes], ...]
            check  [key, field, version]       the record's version; field "" for a record that is a whole key;
                                               version 0: no record; version -1: no key, of whatever type
            event  [type, subject, version, data]
            write  ["put", key, field, version, body, expires at (ms) or 0]
                   ["delete", key, field]
                   ["rank", key, member, offset]   sorted set, score = time of the commit (ms) + offset
                   ["place", key, member, score]   sorted set
                   ["unrank", key, member]
                   ["add", key, member]            set
                   ["remove", key, member]
                   ["note", key, text, seconds]    a plain string that expires

Returns JSON, a result for each operation: the id of its last event (or the time in ms, if it has none), or, when a
check failed and so nothing of the operation was done, [position of the check from 0, the record found or ""].

A record is stored as "<version> <time of the commit in ms> <body>". All checks of all operations come before the first
write; an operation sees what earlier ones of its batch are going to write.
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

local operations = cjson.decode(ARGV[4])
local results = {}
local pending = {}

local clock
local function now()
  if not clock then
    local time = call('TIME')
    clock = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  end
  return clock
end

local function find(key, field)
  local found = pending[key .. ' ' .. field]
  if found ~= nil then
    return found
  end
  if field == '' then
    return call('GET', KEYS[key + 2]) or ''
  end
  return call('HGET', KEYS[key + 2], field) or ''
end

local function failed(check)
  local key, field, version = check[1], check[2], check[3]
  if version == -1 then
    return call('EXISTS', KEYS[key + 2]) == 1 and ''
  end
  local record = find(key, field)
  return tonumber(record:match('^%d+') or 0) ~= version and record
end

for i, operation in ipairs(operations) do
  for position, check in ipairs(operation[1]) do
    local record = failed(check)
    if record then
      results[i] = { position - 1, record }
      break
    end
  end
  if not results[i] then
    for _, write in ipairs(operation[3]) do
      if write[1] == 'put' then
        pending[write[2] .. ' ' .. write[3]] = write[4] .. ' ' .. now() .. ' ' .. write[5]
      elseif write[1] == 'delete' then
        pending[write[2] .. ' ' .. write[3]] = ''
      end
    end
  end
end

local apply = {
  put = function(key, field, version, body, expiresAt, time)
    local record = version .. ' ' .. time .. ' ' .. body
    if field ~= '' then
      call('HSET', key, field, record)
    elseif expiresAt > 0 then
      call('SET', key, record, 'PXAT', string.format('%.0f', expiresAt))
    else
      call('SET', key, record)
    end
  end,
  delete = function(key, field)
    if field == '' then
      call('DEL', key)
    else
      call('HDEL', key, field)
    end
  end,
  rank = function(key, member, offset, _, _, time)
    call('ZADD', key, string.format('%.0f', time + offset), member)
  end,
  place = function(key, member, score)
    call('ZADD', key, string.format('%.0f', score), member)
  end,
  unrank = function(key, member)
    call('ZREM', key, member)
  end,
  add = function(key, member)
    call('SADD', key, member)
  end,
  remove = function(key, member)
    call('SREM', key, member)
  end,
  note = function(key, text, seconds)
    call('SET', key, text, 'EX', seconds)
  end,
}

for i, operation in ipairs(operations) do
  if not results[i] then
    local id
    for _, event in ipairs(operation[2]) do
      id = call('XADD', KEYS[1], '*', 't', event[1], 's', event[2], 'v', event[3], 'n', ARGV[2], 'd', event[4])
    end
    id = id or now()
    local time = id:match('^%d+')
    for _, write in ipairs(operation[3]) do
      apply[write[1]](KEYS[write[2] + 2], write[3], write[4], write[5], write[6], time)
    end
    results[i] = id
  end
end

local answer = cjson.encode(results)
call('SET', KEYS[2], number .. ' ' .. answer, 'EX', ARGV[3])
return answer
