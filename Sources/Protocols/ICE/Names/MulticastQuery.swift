package import MartletPrimitives
package import MartletSTUN

/// Asks the neighbours for the address behind a name (RFC 6762 §5.1). The driver sends `request` to the group now and whenever
/// `timeout` says so, and gives in what comes back.
package struct MulticastQuery: Sendable {
  /// How an answer came: to the socket that asked, or to all who listen.
  package enum Delivery: Sendable { case unicast, multicast }

  package let name: DNSName
  package let request: [UInt8]
  private let id: UInt16
  private var transaction: ClientTransaction

  /// RFC 6762 §3, §5.1, §11: questions are sent there, and answers come from this port.
  package static let group = SocketAddress(ip: .v4(0xE000_00FB), port: 5353)
  /// Asked at 0, 1 and 3 s (RFC 6762 §5.2) and given up at 6 s.
  private static let schedule = ClientTransaction.Schedule(initial: .seconds(1), requests: 3, lastWait: 3)

  package init(_ name: DNSName, random: inout RandomSource, now: Instant) {
    self.name = name
    id = UInt16.random(in: 1...UInt16.max, using: &random)
    var message = DNSMessage(id: id, isResponse: false)
    message.questions = [name]
    request = message.encoded()
    transaction = ClientTransaction(Self.schedule, now: now)
  }

  /// `nil` once it is answered or given up.
  package var deadline: Instant? { transaction.deadline }

  package mutating func timeout(now: Instant) -> ClientTransaction.Action { transaction.timeout(now: now) }

  /// The address behind the name, if the message says it: of several an IPv6 one (draft-ietf-mmusic-mdns-ice-candidates §3.2.1).
  ///
  /// An answer to this socket alone names the question (RFC 6762 §6.7), which those who only know the port cannot; those to all
  /// name none.
  package mutating func receive(_ message: DNSMessage, _ delivery: Delivery) -> IPAddress? {
    guard transaction.deadline != nil, message.isResponse, delivery == .multicast || message.id == id else { return nil }
    let found = message.addresses.filter { $0.name == name && Self.isUsable($0.ip) }.map(\.ip)
    guard let ip = found.first(where: { $0.bytes.count == 16 }) ?? found.first else { return nil }
    transaction.finish()
    return ip
  }

  /// Link-local addresses of IPv6 mean nothing without their interface.
  private static func isUsable(_ ip: IPAddress) -> Bool {
    if case .v6(let high, _) = ip { high >> 54 != 0x3FA } else { true }
  }
}
