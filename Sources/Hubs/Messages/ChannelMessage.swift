package import MartletIO
internal import MartletPrimitives

/// What workers tell one another about channels. Everything goes through one ring in one order.
package enum ChannelMessage: WorkerMessage {
  // From a subscriber's or publisher's worker to the channel's home.
  case publish(request: UInt64, ChannelName, Draft)
  case attach(ChannelName)
  case detach(ChannelName)
  case join(ChannelName, Member)
  case leave(ChannelName, id: String)
  // From the home to the others.
  case published(request: UInt64, Result<Cursor, MessageError>)
  /// The whole history: a replica begins, or begins anew.
  case snapshot(ChannelName, epoch: String, base: Int, [Message])
  case message(ChannelName, Message)
  case presence(PresenceEvent)
  case unavailable(ChannelName, MessageError)

  package var droppableSize: Int? {
    switch self {
    case .publish(_, _, let draft): draft.payload.count
    case .message(_, let message): message.payload.count
    default: nil
    }
  }
}

/// The rings between all pairs of workers.
package typealias ChannelMesh = WorkerMesh<ChannelMessage>

internal typealias ChannelLink = WorkerLink<ChannelMessage>
