-- Where a job stands while nobody runs it: ready in a queue, or delayed. Needs common.
--
-- ready:<queue> holds every ready job by score (enqueue time less the head start of its priority). Beside it each tenant
-- has a lane in each queue (lane:<queue>:<tenant>, the same jobs and scores), and lanes:<queue> orders the tenants by
-- the share of the queue they have had: the tenant with the smallest tag is served next, and pays 1 / weight for it.
-- A tenant that comes back starts at the tag served last, so that nobody saves up turns (start-time fair queueing).

local function lane_key(queue, tenant) return P .. 'lane:' .. queue .. ':' .. tenant end
local function lanes_key(queue) return P .. 'lanes:' .. queue end
local function fair_key(queue) return P .. 'fair:' .. queue end

local function enter_lane(queue, tenant, score, id)
  redis.call('ZADD', lane_key(queue, tenant), score, id)
  if redis.call('ZSCORE', lanes_key(queue), tenant) then return end
  local known = redis.call('HMGET', fair_key(queue), 'served', 'tenant:' .. tenant)
  local tag = math.max(tonumber(known[1] or '') or 0, tonumber(known[2] or '') or 0)
  redis.call('ZADD', lanes_key(queue), tag, tenant)
end

local function leave_lane(queue, tenant, id)
  redis.call('ZREM', lane_key(queue, tenant), id)
  if redis.call('EXISTS', lane_key(queue, tenant)) == 0 then
    redis.call('ZREM', lanes_key(queue), tenant)
    -- Nobody waits here any more: shares are counted among those who wait at the same time.
    if redis.call('EXISTS', lanes_key(queue)) == 0 then redis.call('DEL', fair_key(queue)) end
  end
end

-- The tenant is served: `tag` is where its lane stood.
local function pay_share(queue, tenant, tag)
  if redis.call('EXISTS', lanes_key(queue)) == 0 then return end
  local weight = tonumber(redis.call('HGET', P .. 'weights', tenant) or '') or 1
  redis.call('HSET', fair_key(queue), 'served', tag, 'tenant:' .. tenant, tag + 1 / weight)
  redis.call('ZADD', lanes_key(queue), 'XX', tag + 1 / weight, tenant)
end

local function to_ready(id, queue, score, tenant)
  redis.call('HSET', job_key(id), 'state', 'ready', 'queue', queue)
  redis.call('ZADD', ready_key(queue), score, id)
  enter_lane(queue, tenant, score, id)
  redis.call('RPUSH', list_key(queue), id)
end

-- Out of the queue's index; its bell is the caller's business.
local function leave_ready(id, queue, tenant)
  redis.call('ZREM', ready_key(queue), id)
  leave_lane(queue, tenant, id)
end

local function to_delayed(id, queue, due_ms)
  redis.call('HSET', job_key(id), 'state', 'delayed', 'queue', queue)
  redis.call('ZADD', P .. 'delayed', text(due_ms), id)
end

-- A bell was taken from this queue's list and none of its jobs: give it back if it is missed.
local function give_bell_back(queue, id)
  if redis.call('ZCARD', ready_key(queue)) > redis.call('LLEN', list_key(queue)) then
    redis.call('RPUSH', list_key(queue), id)
  end
end

-- A job left the index without a claim, and any bell may go for it: identity means nothing.
local function drop_bell(queue)
  if redis.call('LLEN', list_key(queue)) > redis.call('ZCARD', ready_key(queue)) then
    keep_foreign(redis.call('LPOP', list_key(queue)))
  end
end

-- Somebody took this very job out, and reads the list: its own bell goes, else one too many.
local function take_bell(queue, id)
  if redis.call('LREM', list_key(queue), 1, id) == 0 then drop_bell(queue) end
end

-- Delayed jobs whose time has come, at most `limit`; returns how many.
local function promote(limit)
  local due = redis.call('ZRANGEBYSCORE', P .. 'delayed', '-inf', text(now_ms()), 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    local found = redis.pcall('HMGET', job_key(id), 'queue', 'score', 'state', 'tenant')
    if found[1] and tonumber(found[2] or '') and found[3] == 'delayed' and found[4] then
      redis.call('ZREM', P .. 'delayed', id)
      to_ready(id, found[1], found[2], found[4])
    else
      set_aside(P .. 'delayed', id)
    end
  end
  return #due
end

-- A job that Redis did not know, or has known in an earlier life, gets its record; it stands nowhere yet.
-- Its place and the progress that people have seen are kept.
local function write_record(id, a)
  local known = redis.pcall('HMGET', job_key(id), 'score', 'progress')
  local progress = math.max(tonumber(known[2] or '') or 0, tonumber(a.progress) or 0)
  local score = a.score
  if a.keeps_place and tonumber(known[1] or '') then score = known[1] end
  redis.call('HSET', job_key(id), 'queue', a.queue, 'score', score, 'pipeline', a.pipeline, 'tenant', a.tenant,
    'groups', a.groups, 'floor', a.floor, 'progress', tostring(progress), 'stage', a.stage)
  redis.call('HDEL', job_key(id), 'expired', 'slot', 'nonce', 'again', 'parked')
  redis.call('PERSIST', job_key(id))
  redis.call('PERSIST', P .. 'events:' .. id)
  redis.call('SREM', P .. 'bad', id)
  return score
end
