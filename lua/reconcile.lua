-- Compare one open job with what SQL says of it, and repair what does not agree.
-- INCLUDE: common, standing, groups, running
-- KEYS: prefix
-- ARGV: id, queue, pipeline, tenant, groups, score, wait_ms, fence, in_flight, waits, progress, stage, lease_ms, sure
-- RETURNS: fine, adopted (runs again under the fence of SQL), rebuilt (stands in its queue again), or ended or unsure
-- (Redis has it ended, or waiting after a newer claim: read SQL once more and come back with `sure`)

local id, queue, tenant, fence = ARGV[1], ARGV[2], ARGV[4], ARGV[8]
local in_flight, waits = ARGV[9] == '1', ARGV[10] == '1'
local values = redis.pcall('HMGET', job_key(id), 'state', 'token', 'queue', 'tenant', 'slot', 'parked', 'pipeline',
  'groups', 'score')
local found = {state = values[1], token = tonumber(values[2] or '') or 0, queue = values[3], tenant = values[4],
  slot = values[5], parked = values[6]}
local a = {label = '', held = '#', token = fence, floor = fence, queue = queue, pipeline = ARGV[3],
  tenant = tenant, groups = ARGV[5], score = ARGV[6], progress = ARGV[11], stage = ARGV[12],
  lease_ms = tonumber(ARGV[13]), keeps_place = true}

-- Whether the record is whole and the index of its state holds it.
local function stands()
  local at = found.queue and found.tenant and tonumber(values[9] or '') and true
  if found.state == 'ready' then
    return at and redis.call('ZSCORE', ready_key(found.queue), id) and redis.call('ZSCORE',
      lane_key(found.queue, found.tenant), id)
  elseif found.state == 'delayed' then
    return at and redis.call('ZSCORE', P .. 'delayed', id)
  elseif found.state == 'parked' then
    return at and found.parked and redis.call('ZSCORE', parked_key(found.parked, found.queue), id)
      and redis.call('SISMEMBER', P .. 'parking:' .. found.parked, found.queue) == 1
  elseif found.state == 'running' then
    return at and redis.call('ZSCORE', P .. 'leases', id)
  end
  return false
end

local function is_open(state)
  return state == 'ready' or state == 'delayed' or state == 'parked' or state == 'running' or state == 'waiting'
end

if found.state and not is_open(found.state) and ARGV[14] ~= '1' then return 'ended' end
if found.token > tonumber(fence) then
  -- Newer than what SQL said: somebody has claimed it meanwhile. What its record or its lease lost is put back.
  if found.state == 'running' and not stands() then
    a.token, a.held = text(found.token), found.slot or '#'
    put_back(id, found, a)
    return 'adopted'
  end
  if found.state == 'waiting' and not waits and not in_flight then
    -- Or the claim found that it waits, and Redis has lost that it need not any more.
    if ARGV[14] ~= '1' then return 'unsure' end
  elseif found.state ~= 'ready' and found.state ~= 'delayed' and found.state ~= 'parked' then
    return 'fine'
  end
end
if in_flight and found.token <= tonumber(fence) then
  if stands() and found.token == tonumber(fence) then return 'fine' end
  put_back(id, found, a)
  return 'adopted'
end
if stands() then return 'fine' end
-- It waits for its children or a person, in no index; only SQL says when that is over.
if waits then return 'fine' end
leave_every_index(id, found)
leave_running(id, nil, limited_groups(found.queue or '', values[7], found.tenant, values[8]))
local score = write_record(id, a)
redis.call('HDEL', job_key(id), 'cancel')
if tonumber(ARGV[7]) > 0 then
  to_delayed(id, queue, now_ms() + tonumber(ARGV[7]))
else
  to_ready(id, queue, score, tenant)
end
return 'rebuilt'
