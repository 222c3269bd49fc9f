-- Make a job ready, or delayed. Modes: new (refuses a known id), wake (a waiting job is ready now),
-- reopen (a person asks for an ended job again), rebuild (SQL knows it and Redis does not: it keeps its place).
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: mode, id, queue, pipeline, tenant, head_start_ms, delay_ms, created_ms, floor, progress, stamp, stage
-- RETURNS: {1, state now} or {0, state as it was}

local mode, id, queue = ARGV[1], ARGV[2], ARGV[3]
local delay_ms = tonumber(ARGV[7])
local job = job_key(id)
local state = redis.call('HGET', job, 'state')
local open = state == 'ready' or state == 'delayed' or state == 'running'

if mode == 'new' and state then return {0, state} end
if mode == 'wake' and state ~= 'delayed' then
  if state == 'running' then redis.call('HSET', job, 'again', 1) end
  return {0, state or 'none'}
end
if (mode == 'reopen' or mode == 'rebuild') and open then return {0, state} end

local now_ms = math.floor(now_us() / 1000)
local base = now_ms
if mode == 'rebuild' then base = tonumber(ARGV[8]) end
local score = text(base - tonumber(ARGV[6]))
if mode == 'wake' then
  redis.call('ZREM', P .. 'delayed', id)
  to_ready(id, queue, redis.call('HGET', job, 'score') or score)
  return {1, 'ready'}
end

redis.call('HSET', job, 'score', score, 'pipeline', ARGV[4], 'tenant', ARGV[5], 'floor', ARGV[9], 'progress', ARGV[10],
  'stage', ARGV[12])
redis.call('HDEL', job, 'cancel', 'expired', 'slot', 'nonce', 'again')
redis.call('PERSIST', job)
redis.call('PERSIST', P .. 'events:' .. id)
redis.call('SREM', P .. 'bad', id)
if delay_ms > 0 then
  to_delayed(id, queue, now_ms + delay_ms)
else
  to_ready(id, queue, score)
end
if mode ~= 'rebuild' then
  tell(id, {status = 'pending', stage = ARGV[12], progress = tonumber(ARGV[10]), worker_id = '', timestamp = ARGV[11],
    active = {}, message = ''}, mode == 'reopen')
end
if delay_ms > 0 then return {1, 'delayed'} end
return {1, 'ready'}
