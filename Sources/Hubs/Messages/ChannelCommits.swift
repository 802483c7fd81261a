internal import MartletIO
internal import MartletPrimitives
internal import MartletStorage

/// A durable channel's way to the disk: drafts wait here while a batch is being committed, and get their offsets when their own
/// batch goes. So a message is acknowledged and delivered only once it is safe, and an offset that failed is used again.
internal final class ChannelCommits {
  private struct Waiting {
    let draft: Draft
    var answers: [MessageHub.Answer<Cursor>]
  }

  private let store: MessageStore
  private let context: LoopContext
  private var queue = Deque<Waiting>()
  /// What is on its way to the disk.
  private var batch: [Waiting] = []
  private unowned let channel: Channel
  /// Hears of messages that are safe and in the log.
  private let committed: (Channel, Int) -> Void

  /// Of one transaction.
  private static let batchLimit = 256
  /// Beyond, publishers are told that the server is busy.
  private static let queueLimit = 8192

  internal init(_ channel: Channel, _ store: MessageStore, in context: LoopContext, committed: @escaping (Channel, Int) -> Void) {
    self.channel = channel
    self.store = store
    self.context = context
    self.committed = committed
  }

  internal var isIdle: Bool { batch.isEmpty && queue.isEmpty }

  internal func publish(_ draft: Draft, then: @escaping MessageHub.Answer<Cursor>) {
    if draft.key != nil, join(draft, then) { return }
    guard queue.count < Self.queueLimit else { return then(.failure(.busy)) }
    queue.append(Waiting(draft: draft, answers: [then]))
    if batch.isEmpty { commit() }
  }

  /// A publication with the key of one under way shares its fate.
  private func join(_ draft: Draft, _ then: @escaping MessageHub.Answer<Cursor>) -> Bool {
    if let index = batch.firstIndex(where: { $0.draft.key == draft.key }) {
      batch[index].answers.append(then)
      return true
    }
    for index in 0..<queue.count where queue[index].draft.key == draft.key {
      queue[index].answers.append(then)
      return true
    }
    return false
  }

  private func commit() {
    var messages: [Message] = []
    var offset = channel.log.head
    let (time, now) = (channel.time(context.wallTime), context.now)
    while batch.count < Self.batchLimit, let next = queue.popFirst() {
      offset += 1
      batch.append(next)
      messages.append(Message(offset: offset, time: time, arrival: now, draft: next.draft))
    }
    guard !messages.isEmpty else { return }
    let (name, loop) = (channel.log.name, context.loop)
    store.append(messages.map { StoredMessage($0, channel: name) }, on: loop) { [messages] context, result in
      context.service(MessageHub.self).didCommit(name, messages, result)
    }
  }

  internal func finish(_ messages: [Message], _ result: Result<Void, StorageError>) {
    let done = exchange(&batch, with: [])
    switch result {
    case .success:
      for message in messages { channel.append(message) }
      committed(channel, messages.count)
      for (message, waiting) in zip(messages, done) {
        let cursor = Cursor(epoch: channel.log.epoch, offset: message.offset)
        for answer in waiting.answers { answer(.success(cursor)) }
      }
    case .failure(let error):
      let failure: MessageError = error == .overloaded ? .busy : .storage("\(error)")
      for waiting in done { for answer in waiting.answers { answer(.failure(failure)) } }
    }
    commit()
  }
}

extension StoredMessage {
  internal init(_ message: Message, channel: ChannelName) {
    let draft = message.draft
    self.init(
      channel: channel.text, offset: UInt64(message.offset), time: message.time.milliseconds, kind: draft.kind.rawValue,
      type: draft.contentType, event: draft.event, payload: draft.payload, user: draft.user, key: draft.key)
  }
}

extension Message {
  /// - Parameter context: whose clocks tell how old it is.
  internal init(_ stored: StoredMessage, in context: LoopContext) {
    var draft = Draft(
      Draft.Kind(rawValue: stored.kind) ?? .binary, stored.payload, contentType: stored.type, event: stored.event, user: stored.user)
    draft.key = stored.key
    let age = TimeSpan.milliseconds(Int(max(0, context.wallTime.milliseconds &- stored.time)))
    self.init(
      offset: Int(clamping: stored.offset), time: WallTime(milliseconds: stored.time), arrival: context.now - age, draft: draft)
  }
}

extension ChannelLog {
  /// A durable channel as the disk has it.
  internal convenience init(_ name: ChannelName, _ options: ChannelOptions, _ history: StoredHistory, in context: LoopContext) {
    let messages = history.messages.map { Message($0, in: context) }
    let next = Int(clamping: history.nextOffset)
    self.init(name, options, epoch: history.epoch, next: next)
    // Only an unbroken run up to the newest message can be numbered by position.
    var run: [Message] = []
    for message in messages {
      if let last = run.last, message.offset != last.offset + 1 { run = [] }
      run.append(message)
    }
    if let last = run.last, last.offset + 1 == next { reset(epoch: history.epoch, base: run[0].offset, run) }
  }
}
