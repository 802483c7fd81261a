package import MartletPrimitives

/// Why a packet was dropped or a command refused.
package enum SCTPError: Error, Equatable, Sendable {
  case malformed(ParseError)
  case wrongChecksum
  case wrongPorts(source: UInt16, destination: UInt16)
  case wrongTag
  /// A chunk that has no meaning in this state, or must be alone in its packet.
  case unexpectedChunk(type: UInt8)
  /// A state cookie that is not ours, or not of this association.
  case wrongCookie
  /// An acknowledgement of what was never sent, or a request out of sequence.
  case outOfSequence
  /// Data beyond the window or another limit; it will be sent again.
  case noRoom
  /// A message to send needs at least a byte (RFC 9260 §3.3.1).
  case emptyMessage
  case messageTooLarge(bytes: Int, maximum: Int)
  /// The limit of bytes waiting to be sent would be passed.
  case bufferFull(maximum: Int)
  /// The peer takes streams below this one only.
  case noSuchStream(UInt16, maximum: UInt16)
  /// The stream is being reset.
  case streamClosing(UInt16)
  case closed
}

extension SCTPError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let error): "malformed packet: \(error)"
    case .wrongChecksum: "a packet with a wrong checksum"
    case .wrongPorts(let source, let destination): "a packet from port \(source) to \(destination)"
    case .wrongTag: "a packet with a wrong verification tag"
    case .unexpectedChunk(let type): "a chunk of type \(type) that is not expected now"
    case .wrongCookie: "a state cookie that is not of this association"
    case .outOfSequence: "an acknowledgement or a request out of sequence"
    case .noRoom: "data beyond the receive window"
    case .emptyMessage: "a message without a byte"
    case .messageTooLarge(let bytes, let maximum): "a message of \(bytes) bytes where at most \(maximum) are allowed"
    case .bufferFull(let maximum): "the \(maximum) bytes that may wait to be sent are used"
    case .noSuchStream(let stream, let maximum): "stream \(stream) where the peer takes \(maximum)"
    case .streamClosing(let stream): "stream \(stream) is being reset"
    case .closed: "the association is closed"
    }
  }
}

/// What ended an association.
package enum SCTPEndReason: Error, Equatable, Sendable {
  /// Both sides agreed, and all data arrived.
  case shutdown
  /// `abort` was called here.
  case aborted
  /// The peer sent ABORT with this cause (RFC 9260 §3.3.10), 0 for none.
  case abortedByPeer(code: UInt16, reason: String)
  /// The peer did not answer any more.
  case unreachable
  /// Nobody answered INIT or COOKIE ECHO.
  case handshakeTimeout
  /// The peer began a new association within the same DTLS connection, which RFC 8831 §6.2 has no use for.
  case restarted
  /// The peer broke the protocol.
  case violation(SCTPViolation)
}

/// What a peer did that no association survives.
package enum SCTPViolation: Error, Equatable, Sendable {
  /// DATA without a byte.
  case noUserData
  /// Fragments that do not belong together where they should.
  case brokenFragments
  case messageTooLarge(maximum: Int)
  /// Incomplete messages fill twice the window and none can be completed.
  case outOfMemory
  /// DATA where I-DATA was agreed on, or the other way (RFC 8260 §2.2.2).
  case wrongDataChunk
}

extension SCTPEndReason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .shutdown: "shut down"
    case .aborted: "aborted here"
    case .abortedByPeer(let code, let reason): "aborted by the peer, cause \(code)\(reason.isEmpty ? "" : ": \(reason)")"
    case .unreachable: "the peer does not answer any more"
    case .handshakeTimeout: "the peer did not answer the handshake"
    case .restarted: "the peer began a new association"
    case .violation(let violation): "\(violation)"
    }
  }
}

extension SCTPViolation: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noUserData: "a DATA chunk without data"
    case .brokenFragments: "fragments that do not belong together"
    case .messageTooLarge(let maximum): "a message of more than \(maximum) bytes"
    case .outOfMemory: "incomplete messages fill twice the receive window"
    case .wrongDataChunk: "DATA and I-DATA in one association"
    }
  }
}
