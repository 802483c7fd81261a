package import MartletSTUN

/// What stands between this machine and the internet for UDP, as a STUN server sees it (RFC 5780).
public struct NATReport: Equatable, Sendable, CustomStringConvertible {
  /// Which outside address a socket of this machine has (RFC 4787 §4.1).
  public enum Mapping: String, Sendable {
    /// Its own: there is no NAT.
    case direct
    /// One, whomever it talks to.
    case endpointIndependent = "endpoint-independent"
    /// Another for each address that it talks to.
    case addressDependent = "address-dependent"
    /// Another for each address and port: the two sides of a call behind such NATs need a TURN server.
    case addressAndPortDependent = "address-and-port-dependent"
  }

  /// Whose packets come in (RFC 4787 §5).
  public enum Filtering: String, Sendable {
    /// Everybody's.
    case endpointIndependent = "endpoint-independent"
    /// Those of addresses that have been sent to.
    case addressDependent = "address-dependent"
    /// Those of addresses and ports that have been sent to.
    case addressAndPortDependent = "address-and-port-dependent"
  }

  /// `ADDRESS:PORT` as the server sees it; `nil` when UDP does not get through.
  public let publicAddress: String?
  /// `nil` when the server has no second address, which it takes to know. `stun:` servers of browsers' examples have none.
  public let mapping: Mapping?
  /// `nil` when the server cannot answer from elsewhere.
  public let filtering: Filtering?
  /// Whether packets to the outside address come back in, as two callers behind one NAT may need; `nil` without an answer.
  public let hairpins: Bool?
  /// What RFC 3489 called it: "full cone NAT", "symmetric NAT", "open internet", "UDP is blocked", …
  public let name: String

  public var description: String {
    guard let publicAddress else { return name }
    let parts = [
      "seen as \(publicAddress)", mapping.map { "\($0.rawValue) mapping" }, filtering.map { "\($0.rawValue) filtering" },
      hairpins.map { $0 ? "hairpinning" : "no hairpinning" },
    ]
    return "\(name): \(parts.compactMap { $0 }.joined(separator: ", "))"
  }

  package init(_ behavior: NATBehavior) {
    publicAddress = behavior.mapped.map { "\($0)" }
    mapping = behavior.mapping.flatMap { Mapping(rawValue: $0.rawValue) }
    filtering = behavior.filtering.flatMap { Filtering(rawValue: $0.rawValue) }
    hairpins = behavior.hairpins
    name = behavior.classicName
  }
}
