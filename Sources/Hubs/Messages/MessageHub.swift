package import MartletIO
internal import MartletPrimitives
package import MartletStorage

/// The channels of one worker: those whose home it is, and its replicas of others that have subscribers here.
///
/// Publishers and subscribers of any transport meet in it by name. A channel's home (by its name's hash) alone gives messages
/// their offsets; what crosses workers goes through `ChannelLink`. Answers come by a call, at once where everything is local.
package final class MessageHub {
  package typealias Answer<Value> = (Result<Value, MessageError>) -> Void

  package let configuration: ChannelConfiguration
  package let users: UserCensus
  internal let context: LoopContext
  private let mesh: ChannelMesh
  private let store: MessageStore?
  internal private(set) var links: [Int: ChannelLink] = [:]

  internal private(set) var channels: [ChannelName: Channel] = [:]
  /// Those of rooms that go when nobody listens any more.
  internal var discarded: Set<ChannelName> = []
  /// Who waits for a durable channel to be read.
  private var opening: [ChannelName: [Answer<Channel>]] = [:]
  private var replicas: [ChannelName: ChannelLog] = [:]
  /// Who waits for a replica to begin.
  private var attaching: [ChannelName: [Answer<ChannelLog>]] = [:]
  private var publications: [UInt64: Answer<Cursor>] = [:]
  private var sessions: [ObjectIdentifier: any ChannelSession] = [:]
  private var clientCount = 0
  internal private(set) var requestCount: UInt64 = 0
  private var isRetryScheduled = false
  /// Messages of channels whose home is here.
  package private(set) var published = 0

  /// - Parameter store: where durable channels are kept; without one they are kept in memory like the others.
  /// - Parameter users: shared by all workers.
  package init(
    _ configuration: ChannelConfiguration, mesh: ChannelMesh, store: MessageStore? = nil, users: UserCensus = UserCensus(limit: 0),
    in context: LoopContext
  ) {
    self.store = store
    self.users = users
    self.configuration = configuration
    self.mesh = mesh
    self.context = context
    for loop in mesh.loops where loop.index != context.loop.index {
      links[loop.index] = ChannelLink(to: loop, mesh: mesh, in: context) { $0.service(MessageHub.self).drain(from: $1) }
    }
    sweepLater()
    evictLater()
  }

  /// A fresh id for `ChannelClient`.
  package func nextClientID() -> String { clientID(of: nextClientNumber()) }

  /// For those that keep a number and make its text when it is asked for.
  package func nextClientNumber() -> Int {
    clientCount += 1
    return clientCount
  }

  package func clientID(of number: Int) -> String { "m\(context.loop.index)-\(number)" }

  internal func nextRequest() -> UInt64 {
    requestCount += 1
    return requestCount
  }

  package func homeLoop(of name: ChannelName) -> EventLoop { mesh.loops[name.home(among: mesh.loops.count)] }

  // MARK: Publishing

  /// Gives a message its place and delivers it.
  /// - Parameter then: hears the place; of an earlier message when the key was used before.
  package func publish(_ draft: Draft, to name: ChannelName, then: @escaping Answer<Cursor>) {
    if name.isChat, draft.hasSpeaker { return then(.failure(.notSaid)) }
    send(draft, to: name, then: then)
  }

  internal func send(_ draft: Draft, to name: ChannelName, then: @escaping Answer<Cursor>) {
    // A connection that closes while others are being written to must not move what they send from.
    guard !context.isFlushing else { return context.atEndOfTurn { [weak self] in self?.send(draft, to: name, then: then) } }
    guard let link = links[homeLoop(of: name).index] else { return publishHere(draft, to: name, then: then) }
    let request = nextRequest()
    publications[request] = then
    if !link.send(.publish(request: request, name, draft)) { publications.removeValue(forKey: request)?(.failure(.busy)) }
  }

  private func publishHere(_ draft: Draft, to name: ChannelName, then: @escaping Answer<Cursor>) {
    withChannel(name) { [self] result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let channel):
        if let cursor = channel.earlier(draft.key) { return then(.success(cursor)) }
        if let commits = channel.commits { return commits.publish(draft, then: then) }
        let message = Message(offset: channel.log.head + 1, time: channel.time(context.wallTime), arrival: context.now, draft: draft)
        channel.append(message)
        didAppend(channel, 1)
        then(.success(Cursor(epoch: channel.log.epoch, offset: message.offset)))
      }
    }
  }

  private func didAppend(_ channel: Channel, _ count: Int) {
    published += count
    deliver(channel.log)
    pump(channel)
  }

  /// Below so many subscribers a round of writes is short.
  private static let manySubscribers = 64
  /// What is held at most: the loop must not take messages faster than it delivers them.
  private static let maximumHeld = 64

  private func deliver(_ log: ChannelLog) {
    guard !log.isHeld else {
      if log.held >= Self.maximumHeld { log.wake() }
      return
    }
    let pause = log.subscriptions.count < Self.manySubscribers ? .zero : context.pauseBetweenFlushes
    guard pause > .zero else { return log.wake() }
    log.isHeld = true
    context.schedule(after: pause) { [weak log] in log?.wake() }
  }

  // MARK: Channels whose home is here

  /// Calls `then` with the channel, made when it is new: at once, or when a durable one has been read.
  internal func withChannel(_ name: ChannelName, then: @escaping Answer<Channel>) {
    if let channel = channels[name] {
      channel.lastUsed = context.now
      return then(.success(channel))
    }
    guard !name.isOfRoom else { return then(.failure(.noRoom)) }
    guard hasSpace else { return then(.failure(.tooManyChannels)) }
    let options = configuration.options(of: name)
    if options.durable, let store { return open(name, options, store, then: then) }
    then(.success(make(name, options)))
  }

  internal var hasSpace: Bool { channels.count + opening.count < max(1, configuration.maximum / mesh.loops.count) }

  @discardableResult internal func make(_ name: ChannelName, _ options: ChannelOptions) -> Channel {
    let channel = Channel(ChannelLog(name, options, epoch: Cursor.newEpoch()), now: context.now)
    channels[name] = channel
    return channel
  }

  internal func forget(_ name: ChannelName) { channels[name] = nil }

  private func open(_ name: ChannelName, _ options: ChannelOptions, _ store: MessageStore, then: @escaping Answer<Channel>) {
    opening[name, default: []].append(then)
    guard opening[name]?.count == 1 else { return }
    let retention = Retention(messages: options.history, age: options.age, bytes: options.bytes)
    store.open(channel: name.text, retention: retention, on: context.loop) { context, result in
      context.service(MessageHub.self).didOpen(name, result)
    }
  }

  private func didOpen(_ name: ChannelName, _ result: Result<StoredHistory, StorageError>) {
    let answers = opening.removeValue(forKey: name) ?? []
    guard case .success(let history) = result, let store else {
      if case .failure(let error) = result { for answer in answers { answer(.failure(.storage("\(error)"))) } }
      return
    }
    let channel = Channel(ChannelLog(name, configuration.options(of: name), history, in: context), now: context.now)
    for key in history.keys { channel.restore(key: key.key, offset: Int(clamping: key.offset)) }
    channel.commits = ChannelCommits(channel, store, in: context) { [unowned self] in didAppend($0, $1) }
    channels[name] = channel
    for answer in answers { answer(.success(channel)) }
  }

  internal func didCommit(_ name: ChannelName, _ messages: [Message], _ result: Result<Void, StorageError>) {
    channels[name]?.commits?.finish(messages, result)
  }

  // MARK: Subscribing

  /// Everything that is subscribed to by `reader`'s connection leaves through it.
  package func subscribe(_ reader: ChannelReader, to name: ChannelName, _ start: SubscriptionStart, then: @escaping Answer<Subscription>) {
    guard reader.subscription(of: name) == nil else { return then(.failure(.alreadySubscribed)) }
    guard reader.subscriptions.count < configuration.subscriptions else {
      return then(.failure(.tooManySubscriptions(maximum: configuration.subscriptions)))
    }
    subscribe(owner: reader, reader.format, to: name, start) { [weak reader] result in
      // The connection may be gone by the time a replica is there, or have asked twice.
      if case .success(let subscription) = result {
        guard let reader, reader.sink != nil, reader.subscription(of: name) == nil else {
          self.remove(subscription)
          return then(.failure(.alreadySubscribed))
        }
        reader.add(subscription)
      }
      then(result)
      if case .success(let subscription) = result { subscription.wake() }
    }
  }

  /// For owners that take messages as values. They call `remove` when they go.
  package func subscribe(
    owner: any SubscriptionOwner, _ format: MessageFormat? = nil, to name: ChannelName, _ start: SubscriptionStart,
    then: @escaping Answer<Subscription>
  ) {
    withLog(of: name) { [weak owner] result in
      switch result {
      case .failure(let error): then(.failure(error))
      case .success(let log):
        self.settle(start, in: log) { resumption in
          guard let owner else { return }
          let subscription = Subscription(log, owner: owner, format: format, start: resumption)
          log.add(subscription)
          then(.success(subscription))
        }
      }
    }
  }

  /// A replica may lag behind a cursor that its home gave out a moment ago: then the home is asked.
  private func settle(_ start: SubscriptionStart, in log: ChannelLog, then: @escaping (Resumption) -> Void) {
    guard case .after(let cursor) = start, cursor.epoch == log.epoch, cursor.offset > log.head, replicas[log.name] === log else {
      return then(log.resolve(start))
    }
    ask(log.name) {
      $0.log.head
    } then: { result in
      if case .success(let head) = result, cursor.offset <= head {
        then(Resumption(next: cursor.offset + 1, lost: false))
      } else {
        then(log.resolve(start))
      }
    }
  }

  /// Ends a subscription that a connection asked to end.
  package func unsubscribe(_ reader: ChannelReader, from name: ChannelName) throws(MessageError) {
    guard let subscription = reader.subscription(of: name) else { throw .notSubscribed }
    reader.remove(subscription)
    remove(subscription)
  }

  /// The connection is gone: all its subscriptions end.
  package func close(_ reader: ChannelReader) {
    reader.stop()
    endSubscriptions(of: reader)
  }

  /// All its subscriptions end; what the reader was told to say still leaves.
  package func endSubscriptions(of reader: ChannelReader) {
    for subscription in reader.subscriptions {
      reader.remove(subscription)
      remove(subscription)
    }
  }

  package func remove(_ subscription: Subscription) {
    subscription.log.remove(subscription)
    if let id = subscription.presenceID { leave(subscription.channel, id: id) }
    subscription.presenceID = nil
  }

  // MARK: Logs

  private func withLog(of name: ChannelName, then: @escaping Answer<ChannelLog>) {
    guard let link = links[homeLoop(of: name).index] else {
      return withChannel(name) { result in then(result.map(\.log)) }
    }
    if let log = replicas[name] { return then(.success(log)) }
    attaching[name, default: []].append(then)
    if attaching[name]?.count == 1 { link.send(.attach(name)) }
  }

  /// A replica without subscribers is kept a few seconds for the next one.
  private func dropLater(_ log: ChannelLog) {
    // The home of an inbox takes its replica for a sign of life.
    context.schedule(after: .seconds(log.name.isInbox ? 2 : 10)) { [weak self, weak log] in
      guard let self, let log, log.subscriptions.isEmpty, self.replicas[log.name] === log else { return }
      self.replicas[log.name] = nil
      self.links[self.homeLoop(of: log.name).index]?.send(.detach(log.name))
    }
  }

  // MARK: Sessions

  /// Keeps the session in being until it is removed.
  package func add(_ session: any ChannelSession) { sessions[ObjectIdentifier(session)] = session }
  package func remove(_ session: any ChannelSession) { sessions[ObjectIdentifier(session)] = nil }
  package var localSessions: [any ChannelSession] { Array(sessions.values) }
  package var sessionCount: Int { sessions.count }
  /// Logs that have subscribers here or their home.
  package var localLogs: [ChannelLog] { channels.values.map(\.log) + Array(replicas.values) }
  /// Data that found no room on its way to another worker; it was sent again.
  package var delayed: Int { links.values.reduce(0) { $0 + $1.dropped } }

  /// Closes every session of this worker that `isMeant`.
  /// - Returns: how many.
  @discardableResult package func kick(_ reason: ChannelKick, where isMeant: (ChannelClient) -> Bool) -> Int {
    let meant = sessions.values.filter { isMeant($0.client) }
    for session in meant { session.kick(reason) }
    return meant.count
  }

  private func sweepLater() {
    context.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      for session in Array(self.sessions.values) { session.sweep(now: self.context.now, stuck: self.configuration.stuck) }
      self.sweepLater()
    }
  }

  /// Forgets what has grown too old, and channels that nobody needs any more.
  private func evictLater() {
    context.schedule(after: .seconds(10)) { [weak self] in
      guard let self else { return }
      let now = self.context.now
      for (name, channel) in self.channels {
        channel.log.trim(now: now)
        let isUsed =
          !channel.log.subscriptions.isEmpty || !channel.replicas.isEmpty || channel.memberCount > 0
          || channel.commits?.isIdle == false
        if !isUsed, channel.log.isEmpty, now - channel.lastUsed > self.configuration.idle { self.channels[name] = nil }
      }
      for log in self.replicas.values { log.trim(now: now) }
      self.evictLater()
    }
  }

  // MARK: Between workers

  /// Sends every replica what it does not have yet.
  internal func pump(_ channel: Channel) {
    for worker in channel.replicas.keys { pump(channel, to: worker) }
  }

  private func pump(_ channel: Channel, to worker: Int) {
    guard let link = links[worker], var next = channel.replicas[worker] else { return }
    if next < channel.log.base {
      sendSnapshot(of: channel, over: link)
      next = channel.log.head + 1
    }
    while next <= channel.log.head, link.send(.message(channel.log.name, channel.log.message(at: next))) { next += 1 }
    channel.replicas[worker] = next
    if next <= channel.log.head { retryLater() }
  }

  /// The ring to some worker is full: what waits is the channels' history, so only a timer is needed.
  private func retryLater() {
    guard !isRetryScheduled else { return }
    isRetryScheduled = true
    context.schedule(after: .milliseconds(2)) { [weak self] in
      guard let self else { return }
      self.isRetryScheduled = false
      for channel in self.channels.values where channel.replicas.values.contains(where: { $0 <= channel.log.head }) { self.pump(channel) }
    }
  }

  private func sendSnapshot(of channel: Channel, over link: ChannelLink) {
    let log = channel.log
    let messages = log.messages(after: log.base - 1, limit: .max)
    link.send(.snapshot(log.name, epoch: log.epoch, base: log.base, messages))
  }

  internal func drain(from source: Int) {
    let ring = mesh.ring(from: source, to: context.loop.index)
    while let message = ring.pop() { handle(message, from: source) }
  }

  private func handle(_ message: ChannelMessage, from worker: Int) {
    switch message {
    case .publish(let request, let name, let draft):
      publishHere(draft, to: name) { self.links[worker]?.send(.published(request: request, $0)) }
    case .published(let request, let result): publications.removeValue(forKey: request)?(result)
    case .attach(let name): attach(name, worker)
    case .detach(let name): channels[name]?.replicas[worker] = nil
    case .snapshot(let name, let epoch, let base, let messages): begin(name, epoch: epoch, base: base, messages)
    case .message(let name, let message):
      guard let log = replicas[name], message.offset == log.head + 1 else { return }
      log.append(message)
      deliver(log)
    case .unavailable(let name, let error):
      for answer in attaching.removeValue(forKey: name) ?? [] { answer(.failure(error)) }
    case .join(let name, let member): joinHere(name, member)
    case .leave(let name, let id): leaveHere(name, id)
    case .presence(let event): if let log = replicas[event.channel] { log.tell(event) }
    }
  }

  private func attach(_ name: ChannelName, _ worker: Int) {
    guard let link = links[worker] else { return }
    withChannel(name) { [self] result in
      switch result {
      case .failure(let error): link.send(.unavailable(name, error))
      case .success(let channel):
        sendSnapshot(of: channel, over: link)
        channel.replicas[worker] = channel.log.head + 1
      }
    }
  }

  private func begin(_ name: ChannelName, epoch: String, base: Int, _ messages: [Message]) {
    if let log = replicas[name] {
      let before = log.epoch
      log.reset(epoch: epoch, base: base, messages)
      for subscription in log.subscriptions { subscription.logWasReset(from: before) }
      return
    }
    let log = ChannelLog(name, configuration.options(of: name), epoch: epoch, next: base)
    log.reset(epoch: epoch, base: base, messages)
    log.occupancyChanged = { [weak self] log in if log.subscriptions.isEmpty { self?.dropLater(log) } }
    replicas[name] = log
    dropLater(log)
    for answer in attaching.removeValue(forKey: name) ?? [] { answer(.success(log)) }
  }
}
