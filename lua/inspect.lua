-- Where Redis thinks a job is, and whether its indexes agree.
-- INCLUDE: common
-- KEYS: prefix
-- ARGV: id
-- RETURNS: {state or "", token, 1 when the index of its state holds it}

local id = ARGV[1]
local found = redis.call('HMGET', job_key(id), 'state', 'token', 'queue')
local index
if found[1] == 'ready' and found[3] then index = ready_key(found[3]) end
if found[1] == 'delayed' then index = P .. 'delayed' end
if found[1] == 'running' then index = P .. 'leases' end
local held = 0
if index and redis.call('ZSCORE', index, id) then held = 1 end
return {found[1] or '', found[2] or '0', held}
