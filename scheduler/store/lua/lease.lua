-- Takes or renews the leader's lease.
--
-- KEYS: 1 lease (JSON of the leader, expires by itself), 2 fence (the newest token ever given)
-- ARGV: 1 instance id, 2 JSON of the leader with its instanceId, 3 time to live in ms, 4 the token held ('0' = none),
--       5 '1' = this instance id was just started: its own older lease is void
-- Returns {'held', token} or {'other', lease}. A token is given once and tokens grow, also after Redis was emptied,
-- since a new one is never below the time in milliseconds.
local lease = redis.call('GET', KEYS[1])
local fence = redis.call('GET', KEYS[2]) or '0'

if ARGV[4] ~= '0' and ARGV[4] == fence then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return { 'held', fence }
end
if lease and not (ARGV[5] == '1' and cjson.decode(lease).instanceId == ARGV[1]) then
  return { 'other', lease }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local token = string.format('%.0f', math.max(tonumber(fence) + 1, now))
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return { 'held', token }
