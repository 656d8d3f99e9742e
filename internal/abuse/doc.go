// Package abuse is a suite of tests, and nothing else: what clients do that no
// client should do, and what must not happen to anybody else because of it.
//
// The table says for each kind of abuse how the broker answers and which tests
// show it. 5.0 is told with a code what 3.1.1 is not: there the connection ends
// without a word. Before CONNACK nothing but a CONNACK is sent. What is wrong in
// one connection never delays, loses or reorders what others send: TestBystanders.
// A test without a package is one of this package; "script" is a conversation of
// internal/script, which is played both in process and over TCP.
//
//	row  what comes                                 what happens                                     shown by
//	1    something else before CONNECT              closed at its first byte, nothing is kept        script 015-connect-first-packet, TestFaults, TestMemoryFollowsWhatCame
//	2    a second CONNECT                           0x82; the session that it names stays            script 015-connect-first-packet, TestFaults
//	3    a length of five bytes, or over the limit  0x81, 0x95 at once; 64 KiB before CONNACK        TestBigConnect, TestMemoryFollowsWhatCame, script 083-maximum-packet-in
//	4    a length with needless bytes               0x81; closed in 3.1.1 too                        script 103-malformed-others, packet.TestVarintRefused
//	5    a CONNECT whose fields contradict          CONNACK 0x84, 0x81, 0x82; 3.1.1: 1 or closed     script 100-malformed-connect, script 011-connect-refused-version
//	6    packets behind a CONNECT that is refused   never read, however late the refusal             TestBehindRefusal, script 011-connect-refused-version
//	7    text that is not UTF-8, or has U+0000      0x81; control characters pass, logs escape them  packet.TestValidUTF8, script 101-malformed-publish, internal/logging.TestLines
//	8    properties: twice, unknown, cut, zero      0x82 or 0x81                                     script 100-malformed-connect, script 101-malformed-publish, packet.TestConnect, packet.TestPublish
//	9    packet types, flags and identifiers        0x81 or 0x82                                     script 103-malformed-others, script 101-malformed-publish, TestFaults
//	10   topics with wildcards, or empty            0x90, 0x82; response topic 0x81                  script 101-malformed-publish, TestFaults
//	11   filters with misplaced wildcards           0x8F for the filter, 0x80 in 3.1.1               script 102-malformed-subscribe, topic.TestValidate
//	12   SUBSCRIBE without filters, odd options     0x82 or 0x81                                     script 102-malformed-subscribe
//	13   odd names of shares, No Local on a share   0x8F; 0x82                                       TestShares, topic.TestParseFilter
//	14   topics of very many levels                 0x90, 0x8F; cost follows the levels              script 104-deep-topics, TestFaults, TestLinear, internal/router.TestDeep
//	15   aliases: 0, too high, unset, outlived      0x94 or 0x82                                     script 080-topic-alias-in
//	16   more in flight than Receive Maximum        0x93, unless that is switched off                script 042-receive-maximum-in, TestQuotas, TestLenientReceive
//	17   Subscription Identifier in a PUBLISH       0x82                                             script 101-malformed-publish
//	18   QoS 2 repeated, resumed, after a crash     PUBREC, and no second delivery                   script 022-publish-qos2, internal/session.TestInbound, internal/model.TestRestart, internal/crash.TestKill
//	19   acknowledgements of nothing                0x92 where a code fits, else passed over         script 023-publish-stray-acks, script 103-malformed-others
//	20   more than the receiver takes               not sent to it, and its place is free            script 082-maximum-packet-out, internal/session.TestTooBig
//	21   dribbling before and after CONNECT         closed in time: only whole packets count         TestDribble, script 074-connect-timeout, script 072-keep-alive, internal/transport.TestUnready
//	22   a receiver that does not read              bounded in bytes; dropped by cause; cut off      TestMemoryCeiling, internal/transport.TestSuite, internal/script.TestSlowReceiver
//	23   floods of anything                         0x97, 0x9F or closed at the quota; linear cost   TestQuotas, TestManyShares, TestUserQuota, TestRetainedBytes, TestConnectRate, TestConnectionFlood, TestFilesRunOut, TestManyLookups, TestLinear, script 066-quotas, broker.TestRetainedOfMany
//	24   takeover by the same user                  the old one gets 0x8E; wills as they should      TestTakeoverStorm, script 033-takeover
//	25   takeover by another user                   the newcomer gets 0x87, or 5                     TestForeignTakeover, script 016-connect-password
//	26   ways around the access list                refused on the way in and on the way out         TestAccessWaysIn, TestAccessWaysOut, TestAccessTakenBack, internal/auth.TestNeverSubstituted, internal/auth.TestSubscribe, internal/dynsec.TestDecisions
//	27   writing the broker's own topics            0x87, by wills too; wildcards pass over them     TestOwnTopics, script 024-publish-refused, script 065-sys, internal/router.TestStandard
//	31   WebSocket frames and upgrades              1002, 1003, or the request is refused            internal/transport.TestFrames, internal/transport.TestUpgrade, TestMemoryFollowsWhatCame
//	34   foreign text in the log, floods of it      escaped, cut to 256 bytes, some lines a source   TestLongNames, TestLogFlood, TestFaultsAreCounted, internal/logging.TestLines, internal/logging.TestJSON, internal/ration.TestLines
package abuse
