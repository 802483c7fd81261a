package import MartletPrimitives

/// What an operator may set for WebRTC; each field is a key of the `webrtc` section.
package struct WebRTCConfiguration: Equatable, Sendable {
  /// What to announce to peers. Without an address or a host name, the addresses of this machine.
  package var addresses: [AnnouncedAddress] = []
  /// Whether peers may come over TCP, on the port numbers of UDP.
  package var takesTCP = true
  /// Whether all workers share one port.
  package var usesSinglePort = false
  /// Sessions of a worker.
  package var sessions = 10_000
  /// What a publisher may send, in bits a second, where its congestion control asks.
  package var bitrate = 20_000_000
  /// `stun:` and `turn:` URLs that clients are told of in `Link` fields.
  package var iceServers: [String] = []
  package init() {}
}

/// One entry of `webrtc.addresses`.
package enum AnnouncedAddress: Hashable, Sendable {
  case ip(IPAddress)
  case host(String)
  /// What this server sees of the media port is announced.
  case stun(host: String, port: UInt16)
}

extension AnnouncedAddress: LosslessStringConvertible {
  private static let stunPort: UInt16 = 3478

  /// `203.0.113.7`, `media.example.org`, or `stun:HOST[:PORT]` (RFC 7064).
  package init?(_ text: String) {
    guard !text.hasPrefix("stun:") else {
      guard let server = Self.server(text.dropFirst(5)) else { return nil }
      self = server
      return
    }
    if let ip = IPAddress(text) {
      self = .ip(ip)
    } else {
      guard Self.isHost(text) else { return nil }
      self = .host(text)
    }
  }

  private static func server(_ text: Substring) -> AnnouncedAddress? {
    let colon = text.hasSuffix("]") ? nil : text.lastIndex(of: ":")
    let host = String(colon.map { text[..<$0] } ?? text)
    let port = colon.map { UInt16(text[text.index(after: $0)...]) } ?? stunPort
    guard let port, port > 0, IPAddress(host) != nil || isHost(host) else { return nil }
    return .stun(host: host, port: port)
  }

  /// RFC 1123 §2.1; what ends in a number is a misspelt address.
  private static func isHost(_ text: String) -> Bool {
    let labels = text.split(separator: ".", omittingEmptySubsequences: false)
    return (1...253).contains(text.utf8.count) && labels.last.map { UInt64($0) == nil } ?? false
      && labels.allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") }
      }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    default: false
    }
  }

  package var description: String {
    switch self {
    case .ip(let ip): "\(ip)"
    case .host(let name): name
    case .stun(let host, let port): "stun:\(host)" + (port == Self.stunPort ? "" : ":\(port)")
    }
  }
}
