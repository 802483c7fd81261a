/// How large a message from a peer may be.
package struct STUNLimits: Sendable {
  /// Of a whole message, header included. The default is what the length field can express, for TURN's DATA; a user of
  /// small messages sets less.
  package var messageBytes = 65_552
  /// A request with everything of RFC 8445 and 8656 has about 15.
  package var attributes = 32

  package init() {}
  package init(messageBytes: Int, attributes: Int = 32) {
    self.messageBytes = messageBytes
    self.attributes = attributes
  }

  /// RFC 8489 §14.3: fewer than 509 bytes.
  static let usernameBytes = 508
  /// RFC 8489 §14.8 to §14.14: fewer than 128 characters, at most 763 bytes.
  static let textBytes = 763
}
