package import MartletPrimitives

/// Asks a STUN server where it sees us: a server-reflexive candidate (RFC 8445 §5.1.1.2). The driver sends `request` now and
/// whenever `timeout` says so, from the socket in question.
package struct BindingQuery: Sendable {
  package enum Answer: Equatable, Sendable {
    case mapped(SocketAddress)
    case refused(STUNErrorCode)
  }

  package let request: [UInt8]
  private let id: TransactionID
  private var transaction: ClientTransaction

  package init(_ schedule: ClientTransaction.Schedule = .datagram, random: inout RandomSource, now: Instant) {
    id = TransactionID(random: &random)
    request = STUNMessage(.request, .binding, id).encoded()
    transaction = ClientTransaction(schedule, now: now)
  }

  /// `nil` once it is answered or given up.
  package var deadline: Instant? { transaction.deadline }

  package mutating func timeout(now: Instant) -> ClientTransaction.Action { transaction.timeout(now: now) }

  /// Takes the answer. Throws, and goes on waiting, when it is to another request or not well formed.
  package mutating func receive(_ bytes: RawSpan) throws(STUNError) -> Answer {
    let message = try ReceivedSTUNMessage(parsing: bytes).message
    guard message.kind == .success || message.kind == .error else { throw .unexpected(message.kind, message.method) }
    guard message.transaction == id, transaction.deadline != nil else { throw .unknownTransaction }
    if message.kind == .error {
      transaction.finish()
      return .refused(message.errorCode ?? STUNErrorCode(STUNErrorCode.badRequest))
    }
    guard let mapped = message.mappedAddress, message.unknownRequired.isEmpty else { throw .unexpected(message.kind, message.method) }
    transaction.finish()
    return .mapped(mapped)
  }
}
