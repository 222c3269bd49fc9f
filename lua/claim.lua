-- Claim the best ready job of the wanted queues for one free slot. Sent twice with one nonce, it grants once.
-- INCLUDE: common, standing, groups, grant
-- KEYS: prefix
-- ARGV: worker, label, slot, nonce, lease_ms, queues, popped_queue, popped_value, stamp
-- RETURNS: a grant (see grant.lua)

local popped_queue = ARGV[7]
if keep_foreign(ARGV[8]) then popped_queue = '' end -- it was no bell: the bell of what is claimed still hangs there
return grant({worker = ARGV[1], label = ARGV[2], slot = ARGV[3], nonce = ARGV[4], lease_ms = tonumber(ARGV[5]),
  queues = ARGV[6], popped_queue = popped_queue, stamp = ARGV[9]})
