-- Shared by claim, finish and requeue: take the best ready job for one slot. Needs common, standing and groups.
-- Returns {'granted', id, token, expired, queue, known}, {'busy', id}, {'rewound'},
-- or {'none', wait_ms, again, paused queues joined by commas}; wait_ms is -1 when nothing is delayed.
-- `expired` is the token whose lease ran out ('0': none), `known` the newest one that Redis had heard of.

local EXAMINED = 64

-- Who comes next in a queue: the best job of the tenant with the smallest tag. A lane that was lost hides nothing.
local function head_of(queue)
  local lane, first
  repeat
    lane, first = redis.call('ZRANGE', lanes_key(queue), 0, 0, 'WITHSCORES'), {}
    if lane[1] then
      first = redis.call('ZRANGE', lane_key(queue, lane[1]), 0, 0, 'WITHSCORES')
      if not first[1] then redis.call('ZREM', lanes_key(queue), lane[1]) end
    end
  until first[1] or not lane[1]
  if not first[1] then first = redis.call('ZRANGE', ready_key(queue), 0, 0, 'WITHSCORES') end
  if not first[1] then return nil end
  return {queue = queue, id = first[1], score = tonumber(first[2]), tenant = lane[1], tag = tonumber(lane[2] or '') or 0}
end

local function best_of(queues)
  local best
  for _, queue in ipairs(queues) do
    local head = head_of(queue)
    if head and (not best or head.score < best.score) then best = head end
  end
  return best
end

-- Ring again where jobs are left and no bell is; a lost pop then costs nothing.
local function ring_again(queues)
  for _, queue in ipairs(queues) do
    if redis.call('LLEN', list_key(queue)) == 0 then
      local left = redis.call('ZRANGE', ready_key(queue), 0, 0)
      if left[1] then redis.call('RPUSH', list_key(queue), left[1]) end
    end
  end
end

local function take(a, head, found, groups)
  local id, queue, job = head.id, head.queue, job_key(head.id)
  local known = math.max(tonumber(found.token or '') or 0, tonumber(found.floor or '') or 0)
  local token = text(math.max(known + 1, now_us()))
  local held = a.worker .. '#' .. a.slot
  leave_ready(id, queue, found.tenant)
  pay_share(queue, found.tenant, head.tag)
  redis.call('ZADD', P .. 'leases', text(now_ms() + a.lease_ms), id)
  redis.call('HSET', job, 'state', 'running', 'token', token, 'slot', held, 'nonce', a.nonce, 'worker', a.label,
    'known', text(known))
  redis.call('HSET', P .. 'slots', held, id)
  join_groups(id, groups, token)
  if a.popped_queue ~= queue then
    local bell = redis.call('LPOP', list_key(queue))
    if bell then keep_foreign(bell) end
    if a.popped_queue ~= '' then give_bell_back(a.popped_queue, id) end
  end
  ring_again({queue})
  tell(id, {status = 'processing', stage = found.stage or '', progress = tonumber(found.progress or '') or 0,
    worker_id = a.label, timestamp = a.stamp, active = {found.stage or nil}, message = ''}, true, found.seq)
  return {'granted', id, token, found.expired or '0', queue, text(known)}
end

-- The index lied: the job is elsewhere, or unknown.
local function heal(head, found)
  leave_ready(head.id, head.queue, head.tenant or found.tenant or '')
  drop_bell(head.queue)
  if not found.state or found.state == 'ready' then redis.call('SADD', P .. 'bad', head.id) end
end

local function same_grant_again(a)
  local held = a.worker .. '#' .. a.slot
  local id = redis.call('HGET', P .. 'slots', held)
  if not id then return nil end
  local found = redis.call('HMGET', job_key(id), 'nonce', 'state', 'token', 'expired', 'queue', 'slot', 'known')
  if found[1] == a.nonce and found[2] == 'running' then
    return {'granted', id, found[3], found[4] or '0', found[5], found[7] or '0'}
  end
  -- Running elsewhere by now (Redis was rewound or rebuilt): this slot's note is old.
  if found[2] == 'running' and found[6] == held then return {'busy', id} end
  redis.call('HDEL', P .. 'slots', held)
  return nil
end

-- The wanted queues that are not paused, and those that are.
local function open_queues(wanted)
  local open, paused = {}, {}
  local any_paused = redis.call('EXISTS', P .. 'paused') == 1
  for queue in string.gmatch(wanted, '[^,]+') do
    local list = open
    if any_paused and redis.call('HEXISTS', P .. 'paused', queue) == 1 then list = paused end
    list[#list + 1] = queue
  end
  return open, paused
end

-- Look at one head: a grant, or nil when it had to leave the index.
local function look_at(a, head)
  local values = redis.pcall('HMGET', job_key(head.id), 'state', 'queue', 'token', 'floor', 'expired', 'progress',
    'stage', 'seq', 'tenant', 'pipeline', 'groups') -- no hash at all: nothing is found
  local found = {state = values[1], queue = values[2], token = values[3], floor = values[4], expired = values[5],
    progress = values[6], stage = values[7], seq = values[8], tenant = values[9]}
  if found.state ~= 'ready' or found.queue ~= head.queue or not found.tenant then return heal(head, found) end
  local groups = limited_groups(head.queue, values[10], found.tenant, values[11])
  local full = first_full(groups)
  if not full then return take(a, head, found, groups) end
  leave_ready(head.id, head.queue, found.tenant)
  drop_bell(head.queue)
  park(head.id, full, head.queue, head.score)
  -- It may have been the one that stood for its other groups.
  for _, group in ipairs(groups) do wake_group(group) end
  return nil
end

local function grant(a)
  local known = same_grant_again(a)
  if known then return known end
  -- Flushed, or brand-new: until a reconciler has put back what SQL holds, limits and pauses are not known here.
  if redis.call('EXISTS', P .. 'canary') == 0 then return {'rewound'} end
  promote(EXAMINED)
  local open, paused = open_queues(a.queues)
  local again = 0
  for examined = 1, EXAMINED do
    local head = best_of(open)
    if not head then break end
    local granted = look_at(a, head)
    if granted then return granted end
    if examined == EXAMINED then again = 1 end
  end
  if a.popped_queue ~= '' then ring_again(open) end
  local due = redis.call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
  local wait = -1
  if due[2] then wait = math.max(0, tonumber(due[2]) - now_ms()) end
  return {'none', text(wait), text(again), table.concat(paused, ',')}
end
