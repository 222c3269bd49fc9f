-- Limits over the whole fleet. Needs common and standing.
--
-- A job is in the groups queue:<its queue>, pipeline:<its pipeline>, tenant:<its tenant> and those it names itself.
-- `limits` says how many of a group may run: 0 is a pause, -1 "not limited any more, but some are still parked".
-- group:<group> holds those that run, for limited groups alone. What a limit holds back stands in
-- parked:<group>:<queue>; `parking` names the groups that hold something back, parking:<group> their queues.
--
-- Nobody sleeps beside free room: whatever frees room, or leaves `ready` without a grant, wakes the best of each queue.

local function parked_key(group, queue) return P .. 'parked:' .. group .. ':' .. queue end

local limits_exist
local function any_limits()
  if limits_exist == nil then limits_exist = redis.call('EXISTS', P .. 'limits') == 1 end
  return limits_exist
end

-- The limited groups of a job as {name, limit}; `extra`: the groups it names itself, joined by commas.
local function limited_groups(queue, pipeline, tenant, extra)
  if not any_limits() then return {} end
  local names = {'queue:' .. queue, 'pipeline:' .. (pipeline or ''), 'tenant:' .. (tenant or '')}
  for name in string.gmatch(extra or '', '[^,]+') do names[#names + 1] = name end
  local found, limited = redis.call('HMGET', P .. 'limits', unpack(names)), {}
  for position, name in ipairs(names) do
    local limit = tonumber(found[position] or '')
    if limit then limited[#limited + 1] = {name = name, limit = limit} end
  end
  return limited
end

local function has_room(group)
  return group.limit < 0 or redis.call('ZCARD', P .. 'group:' .. group.name) < group.limit
end

local function first_full(groups)
  for _, group in ipairs(groups) do
    if not has_room(group) then return group end
  end
  return nil
end

-- Nothing of this queue is held back by this group any more.
local function close_parking(group, queue)
  redis.call('SREM', P .. 'parking:' .. group, queue)
  if redis.call('EXISTS', P .. 'parking:' .. group) == 0 then redis.call('SREM', P .. 'parking', group) end
end

local function leave_parked(id, group, queue)
  redis.call('ZREM', parked_key(group, queue), id)
  if redis.call('EXISTS', parked_key(group, queue)) == 0 then close_parking(group, queue) end
end

-- The best of what this group holds back in this queue becomes ready; false when there is none.
local function wake_best(group, queue)
  for _, id in ipairs(redis.call('ZRANGE', parked_key(group, queue), 0, 7)) do
    local found = redis.pcall('HMGET', job_key(id), 'state', 'parked', 'queue', 'score', 'tenant')
    leave_parked(id, group, queue)
    if found[1] == 'parked' and found[2] == group and found[3] == queue and tonumber(found[4] or '') and found[5] then
      redis.call('HDEL', job_key(id), 'parked')
      to_ready(id, queue, found[4], found[5])
      return true
    end
    redis.call('SADD', P .. 'bad', id)
  end
  return false
end

-- The best of each of its queues, when there is room; how many.
local function wake_group(group)
  local woken = 0
  if has_room(group) then
    for _, queue in ipairs(redis.call('SMEMBERS', P .. 'parking:' .. group.name)) do
      if wake_best(group.name, queue) then woken = woken + 1 end
    end
  end
  return woken
end

local function park(id, group, queue, score)
  redis.call('HSET', job_key(id), 'state', 'parked', 'parked', group.name)
  redis.call('ZADD', parked_key(group.name, queue), score, id)
  redis.call('SADD', P .. 'parking:' .. group.name, queue)
  redis.call('SADD', P .. 'parking', group.name)
end

-- A job runs: it counts in its groups; where room is left, the next may come too.
local function join_groups(id, groups, token)
  for _, group in ipairs(groups) do
    if group.limit >= 0 then redis.call('ZADD', P .. 'group:' .. group.name, token, id) end
  end
  for _, group in ipairs(groups) do wake_group(group) end
end

-- A job runs no more, or left `ready` without a grant.
local function leave_groups(id, groups)
  for _, group in ipairs(groups) do redis.call('ZREM', P .. 'group:' .. group.name, id) end
  for _, group in ipairs(groups) do wake_group(group) end
end

-- As many as there is room for, `most` of them at once; a limit that was lifted is forgotten with its last parked job.
local function wake_page(name, most)
  local limit = tonumber(redis.call('HGET', P .. 'limits', name) or '') or -1
  local room, woken = most, 0
  if limit >= 0 then room = limit - redis.call('ZCARD', P .. 'group:' .. name) end
  for _, queue in ipairs(redis.call('SMEMBERS', P .. 'parking:' .. name)) do
    -- Each queue may use all of the room: nobody may serve the others.
    local left = room
    while left > 0 and woken < most and wake_best(name, queue) do
      left, woken = left - 1, woken + 1
    end
  end
  if limit < 0 and redis.call('SISMEMBER', P .. 'parking', name) == 0 then redis.call('HDEL', P .. 'limits', name) end
  return woken
end
