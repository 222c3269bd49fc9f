-- A job whose own index lost it: forget its state, so that `enqueue` in mode rebuild may place it again.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id, state
-- RETURNS: 1, or 0 when it moved meanwhile

local job = job_key(ARGV[1])
if redis.call('HGET', job, 'state') ~= ARGV[2] then return 0 end
redis.call('HDEL', job, 'state')
return 1
