package import MartletSDP

/// Why a call was refused. Nothing has changed then.
package enum NegotiationError: Error, Equatable, Sendable {
  /// InvalidStateError: the call does not fit the signaling state.
  case invalidState(_ call: String, SignalingState)
  /// InvalidAccessError: an object that is not there, or a use of it that makes no sense.
  case invalidAccess(_ why: String)
  /// InvalidModificationError: a description or a preference that was changed in a way it must not be.
  case invalidModification(_ why: String)
  /// OperationError: a description that cannot be applied; `section` is the index of its `m=` section.
  case operation(section: Int?, _ why: String)
  /// OperationError: a description that is no WebRTC session, or does not answer the offer.
  case unusable(SDPError)
  /// OperationError: more than `NegotiationLimits` allows.
  case limit(_ what: String, maximum: Int)

  /// The name of the DOMException that W3C WebRTC raises.
  package var name: String {
    switch self {
    case .invalidState: "InvalidStateError"
    case .invalidAccess: "InvalidAccessError"
    case .invalidModification: "InvalidModificationError"
    case .operation, .unusable, .limit: "OperationError"
    }
  }
}

extension NegotiationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .invalidState(let call, let state): "\(call) is not possible in the state \(state.rawValue)"
    case .invalidAccess(let why), .invalidModification(let why): why
    case .operation(let section?, let why): "section \(section): \(why)"
    case .operation(nil, let why): why
    case .unusable(let error): "\(error)"
    case .limit(let what, let maximum): "\(what) exceed the limit of \(maximum)"
    }
  }
}
