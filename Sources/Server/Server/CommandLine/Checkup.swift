package import MartletClient
internal import MartletEndpoints
package import MartletPrimitives

/// What `martlet doctor` concludes from a configuration and what it found on the machine. It touches nothing itself.
package struct Checkup {
  package enum Level: String, Sendable { case good = "ok", note, problem }

  package struct Finding: Equatable, Sendable {
    package let level: Level
    package let text: String

    package init(_ level: Level, _ text: String) {
      self.level = level
      self.text = text
    }
  }

  /// What a STUN server says, or why none says anything.
  package enum NAT: Sendable {
    case notAsked
    case failed(String)
    case report(NATReport, server: String)
  }

  private let configuration: ServerConfiguration
  /// Of interfaces that are up.
  private let interfaces: [IPAddress]
  private let nat: NAT

  package init(_ configuration: ServerConfiguration, interfaces: [IPAddress], nat: NAT) {
    self.configuration = configuration
    self.interfaces = interfaces
    self.nat = nat
  }

  package var findings: [Finding] { [addressFinding, natFinding].compactMap(\.self) + candidateFindings }

  // MARK: Addresses

  private var addressFinding: Finding {
    let outside = interfaces.filter { !$0.isLoopback }
    guard !outside.isEmpty else { return Finding(.problem, "this machine has no address but loopback: nobody else can reach it") }
    return Finding(.good, "addresses: \(outside.map(described).joined(separator: ", "))")
  }

  private func described(_ address: IPAddress) -> String { "\(address)\(address.isSpecialPurpose ? " (not of the public internet)" : "")" }

  private var natFinding: Finding? {
    switch nat {
    case .notAsked: Finding(.note, "the NAT was not looked at: --stun HOST names a STUN server to ask")
    case .failed(let reason): Finding(.problem, "the NAT could not be looked at: \(reason)")
    case .report(let report, let server) where report.publicAddress == nil:
      Finding(.problem, "\(server) does not answer over UDP: it is down, or a firewall keeps UDP from leaving this network")
    case .report(let report, let server): Finding(.good, "\(report) (says \(server))")
    }
  }

  // MARK: WebRTC

  /// What peers are told of `webrtc.addresses`, or of this machine without any.
  private var announced: (texts: [String], reachable: [String], asksSTUN: Bool) {
    let named = configuration.webrtc.addresses
    guard !named.isEmpty else {
      let bound = configuration.listeners.webrtc?.ip
      let own = bound.map { $0 == .anyV4 || $0 == .anyV6 } == true ? interfaces.filter { !$0.isLoopback } : bound.map { [$0] } ?? []
      return (own.map { "\($0)" }, own.filter { !$0.isSpecialPurpose }.map { "\($0)" }, false)
    }
    let reachable = named.filter { entry in if case .ip(let ip) = entry { !ip.isSpecialPurpose } else { true } }
    let asksSTUN = named.contains { if case .stun = $0 { true } else { false } }
    return (named.map { "\($0)" }, reachable.map { "\($0)" }, asksSTUN)
  }

  private var candidateFindings: [Finding] {
    guard let listener = configuration.listeners.webrtc else { return [] }
    let (texts, reachable, asksSTUN) = announced
    let ports = mediaPorts(listener.port)
    guard reachable.isEmpty else {
      var findings = [Finding(.good, "WebRTC candidates that a remote viewer reaches: \(reachable.joined(separator: ", ")), \(ports)")]
      if asksSTUN, isSymmetric {
        findings.append(
          Finding(
            .problem,
            "behind this NAT, what a STUN server sees is no way in for others: forward \(ports), and name the address instead of stun:"))
      }
      return findings
    }
    return [Finding(.problem, unreachable(texts, ports))]
  }

  private var isSymmetric: Bool {
    guard case .report(let report, _) = nat else { return false }
    return report.mapping == .addressDependent || report.mapping == .addressAndPortDependent
  }

  private func unreachable(_ texts: [String], _ ports: String) -> String {
    let told = texts.isEmpty ? "no address at all" : "\(texts.joined(separator: ", ")) alone"
    let found = "WebRTC tells viewers of \(told), which nobody outside this network can reach"
    guard case .report(let report, _) = nat, let seen = report.publicAddress.flatMap(SocketAddress.init) else {
      return "\(found): set webrtc.addresses to the public address, or run again with --stun HOST to find it"
    }
    guard report.mapping != .direct else { return "\(found): set webrtc.addresses: [\(seen.ip)]" }
    return "\(found): set webrtc.addresses: [\(seen.ip)], and have the router forward \(ports) to this machine"
  }

  private func mediaPorts(_ first: UInt16) -> String {
    let workers = configuration.webrtc.usesSinglePort ? 1 : max(1, configuration.workers)
    let range = workers > 1 ? "\(first) to \(Int(first) + workers - 1)" : "\(first)"
    return "UDP\(configuration.webrtc.takesTCP ? " and TCP" : "") port \(range)"
  }
}
