-- Set how many of a group may run over the whole fleet (0: a pause), or that it has no limit any more (-1).
-- Those that run now are counted from the leases; what has room now is woken, the rest page by page by the sweeps.
-- INCLUDE: common, standing, groups
-- KEYS: prefix
-- ARGV: group, limit
-- RETURNS: how many were woken

local name, limit = ARGV[1], tonumber(ARGV[2])
redis.call('DEL', P .. 'group:' .. name)
redis.call('HSET', P .. 'limits', name, text(limit))
limits_exist = true
for _, id in ipairs(redis.call('ZRANGE', P .. 'leases', 0, -1)) do
  local found = redis.pcall('HMGET', job_key(id), 'queue', 'pipeline', 'tenant', 'groups', 'token')
  for _, group in ipairs(limited_groups(found[1] or '', found[2], found[3], found[4])) do
    if group.name == name and limit >= 0 and tonumber(found[5] or '') then
      redis.call('ZADD', P .. 'group:' .. name, found[5], id)
    end
  end
end
return wake_page(name, 256)
