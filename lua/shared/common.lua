-- Shared by every script: names of keys, the clock, events, and what is set aside.
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

local function now_ms() return math.floor(now_us() / 1000) end

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
  local seq = math.max((tonumber(last or '') or 0) + 1, now_ms())
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

-- A job has ended: what late readers may still want stays for a while.
local function let_expire(id)
  redis.call('EXPIRE', job_key(id), READ_LATE_SECONDS)
  redis.call('EXPIRE', P .. 'events:' .. id, READ_LATE_SECONDS)
end

-- What a pop brought that is no job of ours is another program's: keep it for adoption. True when it was.
local function keep_foreign(value)
  if value == '' or redis.call('EXISTS', job_key(value)) == 1 then return false end
  redis.call('RPUSH', P .. 'inbox', value)
  return true
end

-- A record that lost a field it needs is set aside: SQL still has the job and the reconciler rebuilds it.
local function set_aside(index, id)
  redis.call('ZREM', index, id)
  redis.call('SADD', P .. 'bad', id)
end
