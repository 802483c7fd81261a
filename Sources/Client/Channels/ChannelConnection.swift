internal import MartletCrypto
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// The channel client's side on the loop: carries out what the machine decides.
internal final class ChannelConnection: LoopObject, WebSocketHandler {
  internal typealias Events = Inbox<ChannelEvent, ChannelError>
  internal typealias Answers = Inbox<ChannelMachine.Answer, ChannelError>

  private let context: LoopContext
  private let request: Result<WebSocketClient.Request, ChannelError>
  private let client: WebSocketClient
  /// Asks for a token, and says `connect(with:)`.
  private let askToken: @Sendable () -> Void
  private var machine: ChannelMachine
  private var opening: WebSocketOpening?
  private var session: WebSocketSession?
  private var events: [Int64: Events] = [:]
  private var answers: [Int64: Answers] = [:]
  /// By the tickets of the tasks that wait.
  private var numbers: [ObjectIdentifier: Int64] = [:]
  private var isDraining = false
  private var timer: SlabID?

  internal init(
    _ machine: consuming ChannelMachine, _ request: Result<WebSocketClient.Request, ChannelError>, trust: TLSContext.Trust,
    in context: LoopContext, askToken: @escaping @Sendable () -> Void
  ) {
    self.machine = machine
    (self.request, self.context, self.askToken) = (request, context, askToken)
    client = WebSocketClient(trust: trust, in: context)
  }

  // MARK: From tasks

  /// Begins something whose answer is waited for.
  internal func ask(_ answer: Answers, _ body: (inout ChannelMachine, Instant) throws(ChannelError) -> Int64) {
    do throws(ChannelError) {
      if case .failure(let error) = request { throw error }
      let id = try body(&machine, context.now)
      answers[id] = answer
      numbers[ObjectIdentifier(answer)] = id
    } catch { answer.finish(error) }
    drain()
  }

  internal func subscribe(_ wish: ChannelMachine.Wish, _ events: Events, _ answer: Answers) {
    ask(answer) { machine, now throws(ChannelError) in try machine.subscribe(wish, now: now) }
    if let id = numbers[ObjectIdentifier(answer)] {
      self.events[id] = events
      numbers[ObjectIdentifier(events)] = id
    }
  }

  /// Whoever asked has gone.
  internal func abandon(_ answer: Answers) {
    guard let id = numbers.removeValue(forKey: ObjectIdentifier(answer)) else { return }
    answers[id] = nil
    machine.abandon(id)
    drain()
  }

  internal func unsubscribe(_ ticket: Events) {
    guard let id = numbers.removeValue(forKey: ObjectIdentifier(ticket)) else { return }
    events[id] = nil
    machine.unsubscribe(id)
    drain()
  }

  internal func release(_ ticket: Events) {
    guard let id = numbers[ObjectIdentifier(ticket)] else { return }
    machine.release(id, now: context.now)
    drain()
  }

  internal func close() {
    machine.close()
    drain()
  }

  internal func handleIsGone() { close() }

  // MARK: What the machine wants

  private func drain() {
    guard !isDraining else { return }
    isDraining = true
    while let action = machine.poll() { perform(action) }
    isDraining = false
    arm()
  }

  private func perform(_ action: ChannelMachine.Action) {
    switch action {
    case .connect: askToken()
    case .send(let bytes, let binary): session?.send(binary ? .binary : .text, Slice(bytes))
    case .disconnect: disconnect()
    case .deliver(let id, let event, let bytes):
      guard let inbox = events[id], !inbox.put(event, cost: bytes + 64) else { return }
      machine.hold(id)
    case .end(let id, let error):
      guard let inbox = events.removeValue(forKey: id) else { return }
      numbers[ObjectIdentifier(inbox)] = nil
      inbox.finish(error == .closed ? nil : error)
    case .answer(let id, let result):
      guard let answer = answers.removeValue(forKey: id) else { return }
      numbers[ObjectIdentifier(answer)] = nil
      switch result {
      case .success(let value):
        answer.put(value, cost: 1)
        answer.finish()
      case .failure(let error): answer.finish(error)
      }
    }
  }

  private func arm() {
    if let timer { context.cancel(timer) }
    timer = nil
    guard let deadline = machine.deadline else { return }
    timer = context.schedule(at: deadline) { [weak self] in
      guard let self else { return }
      self.timer = nil
      self.machine.timeout(now: self.context.now)
      self.drain()
    }
  }

  // MARK: The connection

  /// The token is there, or why there is none.
  internal func connect(with token: Result<String?, ChannelError>) {
    guard machine.wantsConnection, opening == nil, session == nil else { return }
    do throws(ChannelError) {
      let token = try token.get()
      opening = client.open(try request.get()) { [weak self] result in self?.didOpen(result, token) }
    } catch {
      machine.disconnected(error.mayRetry ? .unreachable("\(error)") : .final(error), now: context.now)
      drain()
    }
  }

  private func didOpen(_ result: Result<WebSocketSession, HTTPClientError>, _ token: String?) {
    opening = nil
    switch result {
    case .failure(let error):
      let loss: ChannelMachine.Loss =
        if error.code == .invalid { .final(.invalid(error.reason)) } else {
          error.status.map { .refused($0, error.reason) } ?? .unreachable(error.reason)
        }
      machine.disconnected(loss, now: context.now)
    case .success(let session):
      self.session = session
      session.handler = self
      machine.connected(token: token, now: context.now)
      // It was closed here meanwhile.
      if !machine.isOpen { disconnect() }
    }
    drain()
  }

  private func disconnect() {
    exchange(&opening, with: nil)?.cancel()
    guard let session = exchange(&session, with: nil) else { return }
    session.handler = nil
    session.close()
  }

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    guard session === self.session else { return }
    machine.receive(payload.bytes, binary: kind == .binary, now: context.now)
    drain()
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    guard session === self.session else { return }
    self.session = nil
    machine.disconnected(.closed(code.rawValue, reason), now: context.now)
    drain()
  }
}
