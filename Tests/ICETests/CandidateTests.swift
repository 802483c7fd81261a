import MartletICE
import MartletPrimitives
import TestSupport
import Testing

/// RFC 8839 §5.1, RFC 6544 §4.5.
@Suite struct CandidateTests {
  @Test(arguments: [
    "candidate:1 1 udp 2130706431 192.0.2.1 54321 typ host",
    "candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 10.0.0.1 rport 50000 generation 0 ufrag EEtu network-cost 999",
    "candidate:4057117929 1 udp 2113937151 0e2c6ed5-1b2c-4c88-9f2e-7a3ccf0a2d11.local 51416 typ host generation 0 ufrag Zx1/ network-id 1",
    "candidate:3 2 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0",
    "candidate:a+/ 1 udp 1 2001:db8::1 1 typ relay raddr :: rport 0",
  ])
  func `candidates as browsers write them come back the same`(line: String) throws {
    let candidate = try ICECandidate(line)
    #expect(candidate.description == line)
    #expect(try ICECandidate("a=" + line + "\r\n") == candidate)
  }

  @Test func `every part has its meaning`() throws {
    let candidate = try ICECandidate(
      "candidate:3 1 TCP 1518280447 192.0.2.1 9 typ prflx raddr 10.0.0.1 rport 7 generation 2 tcptype passive ufrag abcd x y")
    #expect(candidate.foundation == "3" && candidate.component == 1 && candidate.transport == .tcp && candidate.priority == 1_518_280_447)
    #expect(candidate.address == SocketAddress(ip: .v4(0xC000_0201), port: 9) && candidate.type == .peerReflexive)
    #expect(candidate.related == ICECandidate.Related(.ip(.v4(0x0A00_0001)), 7) && candidate.tcpType == .passive)
    #expect(candidate.fragment == "abcd" && candidate.extensions.map(\.name) == ["generation", "ufrag", "x"])
    let named = try ICECandidate("candidate:1 1 udp 5 a-b.local 1 typ host")
    #expect(named.host == .name("a-b.local") && named.address == nil && named.resolved(to: .v4(1)).address?.port == 1)
  }

  @Test(arguments: [
    "", "candidate:", "candidate:1", "candidate:1 1 udp 1 192.0.2.1 1", "candidate:1 1 udp 1 192.0.2.1 1 typ",
    "candidate:! 1 udp 1 192.0.2.1 1 typ host",
    "candidate:1 0 udp 1 192.0.2.1 1 typ host", "candidate:1 257 udp 1 192.0.2.1 1 typ host", "candidate:1 1 sctp 1 192.0.2.1 1 typ host",
    "candidate:1 1 udp 0 192.0.2.1 1 typ host", "candidate:1 1 udp 4294967296 192.0.2.1 1 typ host", "candidate:1 1 udp 1 1.2.3 1 typ host",
    "candidate:1 1 udp 1 192.0.2.1 65536 typ host", "candidate:1 1 udp 1 192.0.2.1 -1 typ host",
    "candidate:1 1 udp 1 192.0.2.1 1 type host",
    "candidate:1 1 udp 1 192.0.2.1 1 typ other", "candidate:1 1 tcp 1 192.0.2.1 9 typ host",
    "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype x",
    "candidate:1 1 udp 1 192.0.2.1 1 typ host generation", "candidate:1  1 udp 1 192.0.2.1 1 typ host",
    "candidate:1 1 udp 1 a_b 1 typ host",
    "candidate:123456789012345678901234567890123 1 udp 1 192.0.2.1 1 typ host",
    "candidate:1 1 udp 99999999999999999999 192.0.2.1 1 typ host",
  ])
  func `what is no candidate is an error`(line: String) {
    #expect(throws: ICEError.self) { try ICECandidate(line) }
  }

  @Test func `an error names the field`() {
    #expect(throws: ICEError.malformedCandidate("a port outside 0 to 65535", at: 5)) {
      try ICECandidate("candidate:1 1 udp 1 192.0.2.1 x typ host")
    }
    let long = "candidate:1 1 udp 1 192.0.2.1 1 typ host x " + String(repeating: "y", count: 512)
    #expect(throws: ICEError.limit("bytes of a candidate", maximum: 512)) { try ICECandidate(long) }
  }

  @Test func `no prefix and no change of a candidate traps`() {
    let line = Array("candidate:3 1 tcp 1518280447 2001:db8::1 9 typ srflx raddr 10.0.0.1 rport 7 tcptype passive ufrag abcd".utf8)
    for index in line.indices {
      _ = try? ICECandidate(String(decoding: line[..<index], as: UTF8.self))
      for byte in [0, 32, 45, 58, 255] as [UInt8] {
        var changed = line
        changed[index] = byte
        guard let candidate = try? ICECandidate(String(decoding: changed, as: UTF8.self)) else { continue }
        #expect((try? ICECandidate(candidate.description)) == candidate)
      }
    }
  }

  // RFC 8445 §5.1.2.1, RFC 6544 §4.2.
  @Test func `priorities are those of the formula`() {
    #expect(ICECandidate.priority(.host, .udp) == 126 << 24 | 65_535 << 8 | 255)
    #expect(ICECandidate.priority(.serverReflexive, .udp, preference: 0, component: 2) == 100 << 24 | 254)
    #expect(ICECandidate.priority(.host, .tcp, .active) == 90 << 24 | (6 << 13 | 8191) << 8 | 255)
    let ranked: [(ICECandidateType, ICETransport, ICETCPType?)] = [
      (.host, .udp, nil), (.peerReflexive, .udp, nil), (.serverReflexive, .udp, nil), (.host, .tcp, .active), (.host, .tcp, .passive),
      (.relayed, .udp, nil),
    ]
    let priorities = ranked.map { ICECandidate.priority($0.0, $0.1, $0.2) }
    #expect(priorities == priorities.sorted(by: >))
  }

  // RFC 8445 §5.1.1.3.
  @Test func `candidates of one kind and base share a foundation, others do not`() throws {
    var agent = ICEAgent(ICEConfiguration(), random: RandomSource(seed: 1))
    func base(_ socket: UInt32, _ address: String) -> ICEBase { ICEBase(socket: socket, address: .at(address)) }
    let stun = IPAddress.v4(0x0101_0101)
    let first = agent.addLocal(.host, .at("10.0.0.1:1"), base: base(0, "10.0.0.1:1"), now: .zero)
    let second = agent.addLocal(.host, .at("10.0.0.1:2"), base: base(1, "10.0.0.1:2"), now: .zero)
    let other = agent.addLocal(.host, .at("10.0.0.2:1"), base: base(2, "10.0.0.2:1"), now: .zero)
    let mapped = agent.addLocal(.serverReflexive, .at("192.0.2.1:9"), base: base(0, "10.0.0.1:1"), server: stun, now: .zero)
    #expect(first?.foundation == second?.foundation)
    #expect(Set([first, other, mapped].map { $0?.foundation }).count == 3)
    #expect(mapped?.related == ICECandidate.Related(.ip(.v4(0x0A00_0001)), 1))
    let again = agent.addLocal(.host, .at("10.0.0.1:1"), base: base(0, "10.0.0.1:1"), now: .zero)
    #expect(again == nil)
  }
}
