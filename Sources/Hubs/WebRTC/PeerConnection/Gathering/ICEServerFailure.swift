internal import MartletPrimitives
internal import MartletSTUN

/// Why a STUN or TURN server gives no candidate, or none any more.
enum ICEServerFailure {
  case noAnswer
  case refused(STUNErrorCode)
  /// Ask this one instead.
  case elsewhere(SocketAddress)
  case unreachable(String)
  case malformed

  init(_ end: TURNEnd) {
    self =
      switch end {
      case .closed: .unreachable("closed")
      case .noAnswer: .noAnswer
      case .refused(let error): .refused(error)
      case .tryAlternate(let server): .elsewhere(server)
      case .malformedAnswer: .malformed
      }
  }

  /// The STUN error, or 701 when the server was not reached or not understood (W3C WebRTC §4.8.2.1).
  var code: Int { if case .refused(let error) = self { error.code } else { 701 } }

  var text: String {
    switch self {
    case .noAnswer: "the server does not answer"
    case .refused(let error): error.reason.isEmpty ? "the server refuses" : error.reason
    case .elsewhere(let server): "the server sends us on to \(server), once too often"
    case .unreachable(let reason): reason
    case .malformed: "the server's answers are no STUN or TURN"
    }
  }
}
