internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives

/// A subscriber's part in the presence of its channel, alike on every transport that stays connected.
internal enum ChannelPresence {
  /// Lists the subscriber where the channel keeps presence; seeing the others takes a permission.
  ///
  /// - Parameter info: what it says of itself, JSON; empty is none.
  internal static func enter(
    _ subscription: Subscription, as client: ChannelClient, info: Slice, watches: Bool, _ admission: ChannelAdmission, in hub: MessageHub,
    now: WallTime
  ) {
    guard subscription.log.options.presence else { return }
    let member = Member(id: client.id, user: admission.user, info: info, transport: client.transport, since: now)
    try? hub.join(subscription, as: member)
    guard watches else { return }
    admission.ask(.presence, on: subscription.channel) { verdict in
      if case .allowed = verdict { subscription.watchesPresence = true }
    }
  }

  /// Reads what a query says of the subscriber: JSON of limited size.
  internal static func info(_ text: String) throws(ParseError) -> Slice {
    guard !text.isEmpty else { return Slice() }
    guard text.utf8.count <= Member.maximumInfo else { throw .limit("bytes of info", maximum: Member.maximumInfo) }
    return Slice(try JSON(parsing: Array(text.utf8)).serialized)
  }
}
