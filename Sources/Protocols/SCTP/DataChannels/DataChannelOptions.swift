package import MartletPrimitives

package enum DataChannelKind: Sendable {
  /// UTF-8.
  case text
  case binary
}

/// What a channel is opened with (RFC 8831 §6.4 to §6.7).
package struct DataChannelOptions: Equatable, Sendable {
  package var label: String
  /// The subprotocol; empty for none.
  package var protocolName: String
  package var isOrdered = true
  /// How often a lost message is sent again; `nil`: as often as it takes. Not together with `lifetime`.
  package var maximumRetransmissions: UInt16?
  /// How long a message is worth sending, in whole milliseconds; `nil`: without end.
  package var lifetime: TimeSpan?
  /// The channel's share of what is sent: 128 below normal, 256 normal, 512 high, 1024 extra high.
  package var priority: UInt16 = 256
  /// The stream that both sides have agreed on elsewhere: then neither sends OPEN.
  package var negotiatedID: UInt16?

  package init(label: String, protocolName: String = "") {
    self.label = label
    self.protocolName = protocolName
  }

  var reliability: SCTPReliability {
    SCTPReliability(isUnordered: !isOrdered, maximumRetransmissions: maximumRetransmissions, lifetime: lifetime)
  }
}

package struct DataChannelLimits: Sendable {
  /// Open at once, by both sides.
  package var channels = 1024
  /// UTF-8 bytes.
  package var label = 1024
  package var protocolName = 1024
  /// Channels of the peer that are being refused; its further ones are ignored meanwhile.
  package var refusals = 64
  /// Bytes of a message to be sent: what the peer's `max-message-size` says, 64 KiB when it says nothing (RFC 8841 §6.1).
  package var outgoingMessage = 65536
  /// Bytes waiting on one channel above which `send` asks to slow down.
  package var highWater = 1 << 20

  package init() {}
}

package enum DataChannelEvent: Equatable, Sendable {
  /// The association is there.
  case connected
  /// The peer opened a channel, which may be used at once.
  case opened(UInt16, DataChannelOptions)
  /// A channel of ours is open: the peer has agreed, or it was negotiated.
  case open(UInt16)
  case message(UInt16, DataChannelKind, Slice)
  /// What waits on the channel fell to its threshold.
  case bufferedAmountLow(UInt16)
  /// Its number may be used again.
  case closed(UInt16)
  /// All channels are closed with it; nothing follows.
  case ended(SCTPEndReason)
}

/// Why a command was refused.
package enum DataChannelError: Error, Equatable, Sendable {
  /// RFC 8831 §6.4: retransmissions are limited in number or in time, not in both.
  case contradictoryReliability
  case tooLong(_ what: String, bytes: Int, maximum: Int)
  case idInUse(UInt16)
  /// 65,535, or beyond what the peer takes.
  case invalidID(UInt16)
  case tooManyChannels(maximum: Int)
  /// No such channel, or it is closing.
  case notOpen(UInt16)
  case transport(SCTPError)
}

extension DataChannelError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .contradictoryReliability: "a channel limits retransmissions in number or in time, not in both"
    case .tooLong(let what, let bytes, let maximum): "\(what) of \(bytes) bytes where at most \(maximum) are allowed"
    case .idInUse(let id): "channel \(id) exists"
    case .invalidID(let id): "\(id) is no number of a channel"
    case .tooManyChannels(let maximum): "\(maximum) channels are open"
    case .notOpen(let id): "channel \(id) is not open"
    case .transport(let error): "\(error)"
    }
  }
}
