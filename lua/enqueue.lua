-- Make a job ready, or delayed. Modes: new (refuses a known id), reopen (a person asks for an ended job again),
-- wake (what it waited for is there: it is ready now, also when Redis had forgotten it; noted on one that runs).
-- INCLUDE: common, standing
-- KEYS: prefix
-- ARGV: mode, id, queue, pipeline, tenant, groups, head_start_ms, delay_ms, floor, progress, stage, stamp
-- RETURNS: {1, state now} or {0, state as it was}

local mode, id, queue, tenant = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local delay_ms = tonumber(ARGV[8])
local job = job_key(id)
local state = redis.call('HGET', job, 'state')
local stands = state == 'ready' or state == 'parked'

if mode == 'new' and state then return {0, state} end
if mode == 'reopen' and (stands or state == 'delayed' or state == 'running') then return {0, state} end
if mode == 'wake' then
  if state == 'running' then redis.call('HSET', job, 'again', 1) end
  if state == 'running' or stands then return {0, state} end
  redis.call('ZREM', P .. 'delayed', id)
  delay_ms = 0
end

local score = write_record(id, {queue = queue, pipeline = ARGV[4], tenant = tenant, groups = ARGV[6],
  score = text(now_ms() - tonumber(ARGV[7])), floor = ARGV[9], progress = ARGV[10], stage = ARGV[11],
  keeps_place = mode == 'wake'})
redis.call('HDEL', job, 'cancel')
state = 'ready'
if delay_ms > 0 then state = 'delayed' end
if delay_ms > 0 then to_delayed(id, queue, now_ms() + delay_ms) else to_ready(id, queue, score, tenant) end
tell(id, {status = 'pending', stage = ARGV[11], progress = tonumber(redis.call('HGET', job, 'progress')),
  worker_id = '', timestamp = ARGV[12], active = {}, message = ''}, mode ~= 'new')
return {1, state}
