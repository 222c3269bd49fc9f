-- A job whose own index lost it: forget its state, so that `enqueue` in mode rebuild may place it again.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id, state
-- RETURNS: 1, or 0 when it moved meanwhile

local id, job = ARGV[1], job_key(ARGV[1])
local found = redis.call('HMGET', job, 'state', 'slot')
if found[1] ~= ARGV[2] then return 0 end
leave_slot(id, found[2])
redis.call('HDEL', job, 'state')
return 1
