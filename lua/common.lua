-- Shared by every script: names of keys, the moves between indexes, events.
-- A script that names it in its INCLUDE line is sent with this text before its own.
-- KEYS[1] is always the prefix "{namespace}:", so that all keys hash to one Cluster slot.

local P = KEYS[1]
local NAMESPACE = string.sub(P, 2, -3)
local READ_LATE_SECONDS = 3600
local EVENTS_KEPT = 500

-- Large numbers lose digits when Lua turns them into text by itself.
local function text(number) return string.format('%.0f', number) end

-- One look at the clock a script: it stands still while the script runs.
local clock_us
local function now_us()
  if not clock_us then
    local time = redis.call('TIME')
    clock_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
  end
  return clock_us
end

local function job_key(id) return P .. 'job:' .. id end
local function ready_key(queue) return P .. 'ready:' .. queue end

local function list_key(queue)
  if queue == NAMESPACE then return NAMESPACE end
  return P .. 'queue:' .. queue
end

-- Tell readers: published on both channels, and kept in the job's stream when `keep`.
-- `last` is the job's `seq` where the caller has read it anyway.
local function tell(id, fields, keep, last)
  local job = job_key(id)
  if last == nil then last = redis.call('HGET', job, 'seq') end
  local seq = math.max((tonumber(last or '') or 0) + 1, math.floor(now_us() / 1000))
  fields.job_id, fields.seq = id, seq
  -- An empty Lua table is an object to cjson; quotes inside strings are escaped, so this matches the field alone.
  local message = string.gsub(cjson.encode(fields), '"active":{}', '"active":[]')
  redis.call('HSET', job, 'seq', text(seq))
  if keep then
    redis.call('XADD', P .. 'events:' .. id, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', message)
  end
  redis.call('PUBLISH', 'job_progress:' .. id, message)
  redis.call('PUBLISH', 'job_progress', message)
end

-- What a pop brought that is no job of ours is another program's: keep it for adoption. True when it was.
local function keep_foreign(value)
  if value == '' or redis.call('EXISTS', job_key(value)) == 1 then return false end
  redis.call('RPUSH', P .. 'inbox', value)
  return true
end

local function to_ready(id, queue, score)
  redis.call('HSET', job_key(id), 'state', 'ready', 'queue', queue)
  redis.call('ZADD', ready_key(queue), score, id)
  redis.call('RPUSH', list_key(queue), id)
end

-- A bell was taken from this queue's list and none of its jobs: give it back if it is missed.
local function give_bell_back(queue, id)
  if redis.call('ZCARD', ready_key(queue)) > redis.call('LLEN', list_key(queue)) then
    redis.call('RPUSH', list_key(queue), id)
  end
end

-- A job left this queue's index without a claim: its bell goes too, or, when another claim has popped that, one too many.
local function take_bell(queue, id)
  local list = list_key(queue)
  if redis.call('LREM', list, 1, id) == 0 and redis.call('LLEN', list) > redis.call('ZCARD', ready_key(queue)) then
    keep_foreign(redis.call('LPOP', list))
  end
end

local function to_delayed(id, queue, due_ms)
  redis.call('HSET', job_key(id), 'state', 'delayed', 'queue', queue)
  redis.call('ZADD', P .. 'delayed', text(due_ms), id)
end

-- A record that lost a field it needs is set aside: SQL still has the job and the reconciler rebuilds it.
local function set_aside(index, id)
  redis.call('ZREM', index, id)
  redis.call('SADD', P .. 'bad', id)
end

-- Delayed jobs whose time has come, at most `limit`; returns how many.
local function promote(now_ms, limit)
  local due = redis.call('ZRANGEBYSCORE', P .. 'delayed', '-inf', text(now_ms), 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    local found = redis.pcall('HMGET', job_key(id), 'queue', 'score', 'state')
    if found[1] and tonumber(found[2] or '') and found[3] == 'delayed' then
      redis.call('ZREM', P .. 'delayed', id)
      to_ready(id, found[1], found[2])
    else
      set_aside(P .. 'delayed', id)
    end
  end
  return #due
end

-- The job leaves its slot and lease.
local function leave_slot(id, slot)
  redis.call('ZREM', P .. 'leases', id)
  if slot and redis.call('HGET', P .. 'slots', slot) == id then
    redis.call('HDEL', P .. 'slots', slot)
  end
end
