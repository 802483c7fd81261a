package import MartletEndpoints
package import MartletIO
package import MartletMedia
internal import MartletPrimitives
package import MartletRooms
package import MartletSTUN

/// Tells the configured targets when sessions begin and end. One on each worker; each target has its own queue here, so
/// that a slow one delays nobody else.
package final class WebhookNotifier {
  private final class Lane {
    var target: WebhookConfiguration.Target
    var queue: WebhookQueue
    init(_ target: WebhookConfiguration.Target, _ configuration: WebhookConfiguration) {
      self.target = target
      queue = WebhookQueue(limit: configuration.queue, attempts: configuration.attempts)
    }

    /// Without a query, which often holds a secret.
    var safeURL: String { String(target.url.prefix { $0 != "?" }) }
  }

  private var configuration: WebhookConfiguration
  private var lanes: [Lane]
  private let sender: any WebhookSender
  private let context: LoopContext

  package init(_ configuration: WebhookConfiguration, sender: any WebhookSender, in context: LoopContext) {
    self.configuration = configuration
    self.sender = sender
    self.context = context
    lanes = configuration.targets.map { Lane($0, configuration) }
  }

  /// Targets that stay keep their queues; what waits for the others is lost.
  package func reload(_ configuration: WebhookConfiguration) {
    let earlier = lanes
    self.configuration = configuration
    lanes = configuration.targets.map { target in
      guard let lane = earlier.first(where: { $0.target.url == target.url }) else { return Lane(target, configuration) }
      lane.target = target
      lane.queue.limit = configuration.queue
      lane.queue.attempts = configuration.attempts
      return lane
    }
  }

  package var delivered: Int { lanes.reduce(0) { $0 + $1.queue.delivered } }
  package var dropped: Int { lanes.reduce(0) { $0 + $1.queue.dropped } }
  package var depth: Int { lanes.reduce(0) { $0 + $1.queue.depth } }

  package func notify(_ event: WebhookConfiguration.Event, _ client: ClientInfo) {
    notify(event) { Self.body(event, client, at: context.wallTime) }
  }

  /// - Parameter end: of an allocation that has ended.
  package func notify(_ allocation: TURNAllocationReport, _ end: TURNAllocationEnd?) {
    let event = end == nil ? WebhookConfiguration.Event.allocate : .release
    notify(event) { Self.body(event, allocation, end, at: context.wallTime) }
  }

  package func notify(_ change: RoomHub.Change) {
    switch change {
    case .began(let room): notify(.roomBegin) { Self.body(.roomBegin, room, at: context.wallTime) }
    case .joined(let room, let participant): notify(.join) { Self.body(.join, room, participant, at: context.wallTime) }
    case .left(let room, let participant, let reason):
      notify(.leave) { Self.body(.leave, room, participant, reason, at: context.wallTime) }
    case .ended(let room): notify(.roomEnd) { Self.body(.roomEnd, room, at: context.wallTime) }
    case .spoke, .silenced, .restricted, .recording: break
    }
  }

  private static func body(
    _ event: WebhookConfiguration.Event, _ room: RoomName, _ participant: Participant? = nil, _ reason: DepartureReason? = nil,
    at time: WallTime
  ) -> [UInt8] {
    var object = JSON.Object()
    object["event"] = .string(event.rawValue)
    object["time"] = .string(time.iso8601)
    object["room"] = .string(room.text)
    if let participant {
      object["participant"] = .string(participant.id.text)
      object["name"] = .string(participant.name)
      object["address"] = .string("\(participant.remote.ip)")
      object["since"] = .string(participant.joined.iso8601)
      if let user = participant.user { object["user"] = .string(user) }
    }
    if let reason { object["reason"] = .string(reason.rawValue) }
    return JSON.object(object).serialized
  }

  private func notify(_ event: WebhookConfiguration.Event, _ makeBody: () -> [UInt8]) {
    guard lanes.contains(where: { $0.target.events.contains(event) }) else { return }
    let body = makeBody()
    for lane in lanes where lane.target.events.contains(event) {
      if !lane.queue.append(body) {
        context.log(.warning, "webhook", "the queue is full: the oldest message was dropped (webhooks.queue)", ["url": lane.safeURL])
      }
      pump(lane)
    }
  }

  private static func body(_ event: WebhookConfiguration.Event, _ client: ClientInfo, at time: WallTime) -> [UInt8] {
    var object = JSON.Object()
    object["event"] = .string(event.rawValue)
    object["time"] = .string(time.iso8601)
    object["stream"] = .string(client.path.text)
    object["client"] = .string(client.id)
    object["transport"] = .string(client.transport)
    object["address"] = .string("\(client.remote.ip)")
    object["since"] = .string(client.since.iso8601)
    if let user = client.user { object["user"] = .string(user) }
    if let agent = client.userAgent { object["user_agent"] = .string(agent) }
    return JSON.object(object).serialized
  }

  private static func body(
    _ event: WebhookConfiguration.Event, _ allocation: TURNAllocationReport, _ end: TURNAllocationEnd?, at time: WallTime
  ) -> [UInt8] {
    var object = JSON.Object()
    object["event"] = .string(event.rawValue)
    object["time"] = .string(time.iso8601)
    object["allocation"] = .string(allocation.id)
    object["user"] = .string(allocation.user)
    object["transport"] = .string(allocation.transport)
    object["address"] = .string("\(allocation.client.ip)")
    object["relayed"] = .array(allocation.relayed.map { .string("\($0)") })
    if let end {
      object["reason"] = .string(end.rawValue)
      object["seconds"] = .double(allocation.age.seconds)
      object["bytes_sent"] = .int(Int64(allocation.usage.bytesSent))
      object["bytes_received"] = .int(Int64(allocation.usage.bytesReceived))
    }
    return JSON.object(object).serialized
  }

  private func pump(_ lane: Lane) {
    guard let message = lane.queue.next() else { return }
    send(message, lane)
  }

  private func send(_ message: WebhookQueue.Message, _ lane: Lane) {
    // Signed anew for each attempt: the time in the signature is that of sending.
    let fields = WebhookSignature.fields(message.body, secret: lane.target.secret, now: context.wallTime)
    let request = WebhookRequest(url: lane.target.url, body: message.body, fields: fields, timeout: configuration.timeout)
    sender.send(request) { [weak self, weak lane] outcome in
      guard let self, let lane else { return }
      switch lane.queue.finish(outcome) {
      case .delivered: self.pump(lane)
      case .dropped(let reason):
        self.context.log(.error, "webhook", "a message was given up: \(reason)", ["url": lane.safeURL])
        self.pump(lane)
      case .retry(let delay):
        self.context.schedule(after: delay) { [weak self, weak lane] in
          guard let self, let lane, let message = lane.queue.retried else { return }
          self.send(message, lane)
        }
      }
    }
  }
}
