/// Payload protocol identifiers (RFC 8831 §8).
package enum PayloadProtocol {
  package static let control: UInt32 = 50
  package static let text: UInt32 = 51
  /// Deprecated: a part of a binary message, whose last part has `binary`.
  package static let partialBinary: UInt32 = 52
  package static let binary: UInt32 = 53
  /// Deprecated: a part of a text message, whose last part has `text`.
  package static let partialText: UInt32 = 54
  /// SCTP knows no empty message: one byte stands for it (RFC 8831 §6.6).
  package static let emptyText: UInt32 = 56
  package static let emptyBinary: UInt32 = 57
}
