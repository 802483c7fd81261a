internal import MartletPrimitives
internal import MartletSTUN

/// A check that was sent and not answered.
struct OutstandingCheck {
  let id: TransactionID
  let pair: UInt32
  /// It carries USE-CANDIDATE.
  let isNomination: Bool
  /// It was sent in this role: a 487 is answered only once.
  let role: ICERole
  let bytes: [UInt8]
  let sentAt: Instant
  var transaction: ClientTransaction
  /// Another check took its place; an answer still counts.
  var isCancelled = false
}
