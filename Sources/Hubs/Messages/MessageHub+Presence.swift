internal import MartletIO
internal import MartletPrimitives

/// Who is subscribed: kept at the channel's home, told to those who watch.
extension MessageHub {
  /// Lists a subscriber as present until its subscription ends.
  package func join(_ subscription: Subscription, as member: Member) throws(MessageError) {
    guard subscription.log.options.presence else { throw .noPresence }
    subscription.presenceID = member.id
    if let link = links[homeLoop(of: subscription.channel).index] {
      link.send(.join(subscription.channel, member))
    } else {
      joinHere(subscription.channel, member)
    }
  }

  internal func leave(_ name: ChannelName, id: String) {
    if let link = links[homeLoop(of: name).index] { link.send(.leave(name, id: id)) } else { leaveHere(name, id) }
  }

  internal func joinHere(_ name: ChannelName, _ member: Member) {
    withChannel(name) { [self] result in
      guard case .success(let channel) = result, channel.join(member) else { return }
      tell(channel, PresenceEvent(channel: name, joined: true, member: member))
    }
  }

  internal func leaveHere(_ name: ChannelName, _ id: String) {
    guard let channel = channels[name], let member = channel.leave(id) else { return }
    tell(channel, PresenceEvent(channel: name, joined: false, member: member))
  }

  private func tell(_ channel: Channel, _ event: PresenceEvent) {
    channel.log.tell(event)
    for worker in channel.replicas.keys { links[worker]?.send(.presence(event)) }
  }
}

extension ChannelLog {
  /// Tells the subscribers of this worker who watch.
  internal func tell(_ event: PresenceEvent) {
    for subscription in subscriptions where subscription.watchesPresence && subscription.presenceID != event.member.id {
      subscription.owner.subscription(subscription, didSee: event)
    }
  }
}
