import MartletClient
import MartletEndpoints
import MartletPrimitives
import MartletSTUN
import MartletServer
import Testing

@Suite struct CheckupTests {
  private let home = IPAddress.v4(0xC0A8_0105)
  private let outside = SocketAddress(ip: .v4(0x0801_0101), port: 40_000)

  private func findings(
    _ behavior: NATBehavior?, interfaces: [IPAddress], change: (inout ServerConfiguration) -> Void = { _ in }
  ) -> [Checkup.Finding] {
    var configuration = ServerConfiguration()
    configuration.workers = 2
    change(&configuration)
    let nat = behavior.map { Checkup.NAT.report(NATReport($0), server: "s") } ?? .notAsked
    return Checkup(configuration, interfaces: interfaces, nat: nat).findings
  }

  @Test func `a public address is a candidate that others reach`() {
    let found = findings(nil, interfaces: [outside.ip])
    #expect(
      found.contains(Checkup.Finding(.good, "WebRTC candidates that a remote viewer reaches: 8.1.1.1, UDP and TCP port 8189 to 8190")))
    #expect(!found.contains { $0.level == .problem })
  }

  @Test func `behind a NAT the public address and the ports to forward are named`() {
    let cone = NATBehavior(mapped: outside, mapping: .endpointIndependent, filtering: .addressDependent, hairpins: false)
    let found = findings(cone, interfaces: [home])
    #expect(found.contains { $0.level == .good && $0.text.hasPrefix("restricted cone NAT: seen as 8.1.1.1:40000") })
    let problem = found.first { $0.level == .problem }?.text ?? ""
    #expect(problem.contains("192.168.1.5") && problem.contains("webrtc.addresses: [8.1.1.1]") && problem.contains("port 8189 to 8190"))
    #expect(findings(nil, interfaces: [home]).contains { $0.text.contains("--stun HOST to find it") })
  }

  @Test func `what a STUN server sees is no way in through a symmetric NAT`() {
    let symmetric = NATBehavior(mapped: outside, mapping: .addressAndPortDependent, filtering: .addressAndPortDependent)
    let asking = { (configuration: inout ServerConfiguration) in
      configuration.webrtc.addresses = [.stun(host: "stun.example.org", port: 3478)]
    }
    #expect(findings(symmetric, interfaces: [home], change: asking).contains { $0.level == .problem && $0.text.contains("forward UDP") })
    let cone = NATBehavior(mapped: outside, mapping: .endpointIndependent, filtering: .addressDependent)
    #expect(!findings(cone, interfaces: [home], change: asking).contains { $0.level == .problem })
  }

  @Test func `without addresses, or without UDP, that is the problem`() {
    #expect(findings(nil, interfaces: [.v4(0x7F00_0001)]).contains { $0.level == .problem && $0.text.contains("no address but loopback") })
    #expect(
      findings(NATBehavior(), interfaces: [outside.ip]).contains { $0.level == .problem && $0.text.contains("does not answer over UDP") })
  }

  @Test func `without WebRTC there are no candidates to reach`() {
    #expect(!findings(nil, interfaces: [home]) { $0.listeners.webrtc = nil }.contains { $0.level == .problem })
  }
}
