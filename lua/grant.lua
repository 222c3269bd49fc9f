-- Shared by claim, finish and requeue: take the best ready job for one slot.
-- Returns {'granted', id, token, expired, queue} or {'busy', id}
-- or {'none', wait_ms, again, paused queues joined by commas}; wait_ms is -1 when nothing is delayed.

local EXAMINED = 64
local BATCH = 8

-- The next entry of a queue's index, read in small batches; nil at its end.
local function head(cursor)
  if cursor.at > #cursor.batch then
    cursor.batch = redis.call('ZRANGE', ready_key(cursor.queue), cursor.from, cursor.from + BATCH - 1, 'WITHSCORES')
    cursor.at = 1
    if #cursor.batch == 0 then return nil end
  end
  return tonumber(cursor.batch[cursor.at + 1])
end

local function step(cursor, kept)
  cursor.at = cursor.at + 2
  if kept then cursor.from = cursor.from + 1 end
end

local function best_of(cursors)
  local best, best_score
  for _, cursor in ipairs(cursors) do
    local score = head(cursor)
    if score and (not best_score or score < best_score) then best, best_score = cursor, score end
  end
  return best
end

-- Ring again where jobs are left and no bell is; a lost pop then costs nothing.
local function ring_again(queues)
  for _, queue in ipairs(queues) do
    local list = list_key(queue)
    if redis.call('LLEN', list) == 0 then
      local left = redis.call('ZRANGE', ready_key(queue), 0, 0)
      if left[1] then redis.call('RPUSH', list, left[1]) end
    end
  end
end

local function take(a, id, queue, now, found)
  local job = job_key(id)
  local token = math.max((tonumber(found.token or '') or 0) + 1, (tonumber(found.floor or '') or 0) + 1, now)
  local held = a.worker .. '#' .. a.slot
  redis.call('ZREM', ready_key(queue), id)
  redis.call('ZADD', P .. 'leases', text(math.floor(now / 1000) + a.lease_ms), id)
  redis.call('HSET', job, 'state', 'running', 'token', text(token), 'slot', held, 'nonce', a.nonce, 'worker', a.label)
  redis.call('HSET', P .. 'slots', held, id)
  if a.popped_queue ~= queue then
    local bell = redis.call('LPOP', list_key(queue))
    if bell then keep_foreign(bell) end
    if a.popped_queue ~= '' then give_bell_back(a.popped_queue, id) end
  end
  tell(id, {status = 'processing', stage = found.stage or '', progress = tonumber(found.progress or '') or 0,
    worker_id = a.label, timestamp = a.stamp, active = {found.stage or nil}, message = ''}, true, found.seq)
  return {'granted', id, text(token), found.expired or '0', queue}
end

local function same_grant_again(a)
  local id = redis.call('HGET', P .. 'slots', a.worker .. '#' .. a.slot)
  if not id then return nil end
  local found = redis.call('HMGET', job_key(id), 'nonce', 'state', 'token', 'expired', 'queue', 'slot')
  if found[1] == a.nonce and found[2] == 'running' then
    return {'granted', id, found[3], found[4] or '0', found[5]}
  end
  -- Running elsewhere by now (Redis was rewound or rebuilt): this slot's note is old.
  if found[2] == 'running' and found[6] == a.worker .. '#' .. a.slot then return {'busy', id} end
  redis.call('HDEL', P .. 'slots', a.worker .. '#' .. a.slot)
  return nil
end

local function grant(a)
  local known = same_grant_again(a)
  if known then return known end
  local now = now_us()
  promote(math.floor(now / 1000), EXAMINED)
  local cursors, paused, wanted = {}, {}, {}
  local any_paused = redis.call('HLEN', P .. 'paused') > 0
  for queue in string.gmatch(a.queues, '[^,]+') do
    if any_paused and redis.call('HEXISTS', P .. 'paused', queue) == 1 then
      paused[#paused + 1] = queue
    else
      wanted[#wanted + 1] = queue
      cursors[#cursors + 1] = {queue = queue, batch = {}, at = 1, from = 0}
    end
  end
  local again = 0
  for examined = 1, EXAMINED do
    local cursor = best_of(cursors)
    if not cursor then break end
    local id = cursor.batch[cursor.at]
    -- No hash at all: nothing is found.
    local found = redis.pcall('HMGET', job_key(id), 'state', 'queue', 'token', 'floor', 'expired', 'progress', 'stage',
      'seq')
    if found[1] == 'ready' and found[2] == cursor.queue then
      local granted = take(a, id, cursor.queue, now, {token = found[3], floor = found[4], expired = found[5],
        progress = found[6], stage = found[7], seq = found[8]})
      ring_again({cursor.queue})
      return granted
    end
    redis.call('ZREM', ready_key(cursor.queue), id) -- the index lied: the job is elsewhere, or unknown
    take_bell(cursor.queue, id)
    if not found[1] or found[1] == 'ready' then redis.call('SADD', P .. 'bad', id) end
    step(cursor, false)
    if examined == EXAMINED then again = 1 end
  end
  if a.popped_queue ~= '' then ring_again(wanted) end
  local due = redis.call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')
  local wait = -1
  if due[2] then wait = math.max(0, tonumber(due[2]) - math.floor(now / 1000)) end
  return {'none', text(wait), text(again), table.concat(paused, ',')}
end
