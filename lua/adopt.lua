-- Put a job back as running for the worker that still owns it in SQL: Redis lost it, or holds it under an older token.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: worker, label, slot, id, token, queue, pipeline, tenant, lease_ms, progress, score
-- RETURNS: 1, or 0 when a newer token holds it

local id, job = ARGV[4], job_key(ARGV[4])
local found = redis.call('HMGET', job, 'token', 'queue', 'score', 'slot')
if (tonumber(found[1] or '') or 0) > tonumber(ARGV[5]) then return 0 end
if found[2] and redis.call('ZREM', ready_key(found[2]), id) == 1 then take_bell(found[2], id) end
redis.call('ZREM', P .. 'delayed', id)
redis.call('SREM', P .. 'bad', id)
leave_slot(id, found[4])
local held = ARGV[1] .. '#' .. ARGV[3]
redis.call('HSET', job, 'state', 'running', 'token', ARGV[5], 'queue', ARGV[6], 'pipeline', ARGV[7], 'tenant', ARGV[8],
  'score', found[3] or ARGV[11], 'progress', ARGV[10], 'worker', ARGV[2], 'slot', held)
redis.call('PERSIST', job)
redis.call('ZADD', P .. 'leases', text(math.floor(now_us() / 1000) + tonumber(ARGV[9])), id)
-- Nobody's slot when the reconciler does it for a worker it cannot ask: the lease alone decides.
if ARGV[1] ~= '' then redis.call('HSET', P .. 'slots', held, id) end
return 1
