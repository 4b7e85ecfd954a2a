-- Writes documents, all or nothing, if the caller still leads and nobody changed them since they were read.
--
-- I7: the fencing token is compared here, in the same script that writes: a leader that was replaced cannot write.
--
-- KEYS: 1 fence, 2 revision counter, 3 change stream, 4 models, 5 servers, 6 replicas, 7 observed,
--       8 pipelines, 9 experiments, 10 gateways, 11.. one event list per subject named in the writes
-- ARGV: 1 the caller's fencing token, 2 greatest length of the stream, 3 greatest length of an event list,
--       4 seconds until the events of a deleted subject go,
--       then per write: index in KEYS, field (of an event: its subject), expected revision ('' = any, '0' = must not
--       exist), JSON ('' = delete; of an event: its subject is deleted)
-- Returns {'committed', revision}, {'conflict', '<kind>/<field>'} or {'fenced'}.
local FIRST_WRITE, STRIDE, FIRST_EVENTS_KEY = 5, 4, 11
local KINDS = {
  [4] = 'model', [5] = 'server', [6] = 'replica', [7] = 'observed', [8] = 'pipeline', [9] = 'experiment', [10] = 'gateway',
}

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return { 'fenced' }
end

for at = FIRST_WRITE, #ARGV, STRIDE do
  local expected = ARGV[at + 2]
  if expected ~= '' then
    local key = tonumber(ARGV[at])
    local stored = redis.call('HGET', KEYS[key], ARGV[at + 1])
    local revision = stored and string.match(stored, '^%d+') or '0'
    if revision ~= expected then
      return { 'conflict', KINDS[key] .. '/' .. ARGV[at + 1] }
    end
  end
end

local revision = redis.call('INCR', KEYS[2])
local entry = {}
for at = FIRST_WRITE, #ARGV, STRIDE do
  local key, field, payload = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 3]
  if key >= FIRST_EVENTS_KEY and payload == '' then
    redis.call('EXPIRE', KEYS[key], ARGV[4])
  else
    if key >= FIRST_EVENTS_KEY then
      redis.call('RPUSH', KEYS[key], payload)
      redis.call('LTRIM', KEYS[key], -tonumber(ARGV[3]), -1)
      redis.call('PERSIST', KEYS[key])
    elseif payload == '' then
      redis.call('HDEL', KEYS[key], field)
    else
      redis.call('HSET', KEYS[key], field, revision .. ' ' .. payload)
    end
    entry[#entry + 1] = (KINDS[key] or 'event') .. ' ' .. field
    entry[#entry + 1] = payload
  end
end
-- The entry's id is the revision, so a follower asks for what comes after the one it has.
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], revision .. '-0', unpack(entry))
return { 'committed', revision }
