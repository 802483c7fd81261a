import MartletClient
import Synchronization
import Testing

private struct Failure: CancellableFailure, Equatable {
  var name: String
  static let cancelled = Failure(name: "cancelled")
}

final class Count: Sendable {
  let value = Atomic<Int>(0)
  func add() { value.add(1, ordering: .relaxed) }
  var now: Int { value.load(ordering: .relaxed) }
}

@Suite(.timeLimit(.minutes(5))) struct BoxTests {
  @Test func `a full inbox stops its source once, and lets it go on when half is read`() async throws {
    let room = Count()
    let inbox = Inbox<Int, Failure>(limit: 10) { room.add() }
    for number in 0..<9 { #expect(inbox.put(number, cost: 1)) }
    #expect(!inbox.put(9, cost: 1))
    for _ in 0..<4 { _ = try await inbox.next() }
    #expect(room.now == 0)
    _ = try await inbox.next()
    #expect(room.now == 1)
    #expect(try await inbox.nextBatch() == [5, 6, 7, 8, 9])
    #expect(room.now == 1)
  }

  @Test func `what is in an inbox is read before its end`() async throws {
    let inbox = Inbox<Int, Failure>(limit: 10)
    inbox.put(1, cost: 1)
    inbox.finish(Failure(name: "lost"))
    inbox.put(2, cost: 1)
    #expect(try await inbox.next() == 1)
    await #expect(throws: Failure(name: "lost")) { try await inbox.next() }
  }

  @Test func `a task that waits at an inbox hears of its cancellation`() async {
    let inbox = Inbox<Int, Failure>(limit: 10)
    let task = Task { try await inbox.next() }
    task.cancel()
    await #expect(throws: Failure.cancelled) { try await task.value }
  }

  @Test func `a sender waits for room, in order, and the loop is told once`() async throws {
    let news = Count()
    let outbox = Outbox<Int, Failure>(limit: 2) { news.add() }
    let sender = Task { for number in 0..<100 { try await outbox.put(number, cost: 1) } }
    var taken: [Int] = []
    while taken.count < 100 {
      if case .element(let number) = outbox.next() { taken.append(number) } else { await Task.yield() }
    }
    try await sender.value
    #expect(taken == Array(0..<100))
    #expect(news.now <= 100)
    outbox.finish()
    guard case .finished = outbox.next() else { return #expect(Bool(false), "the end is told") }
  }

  @Test func `a sender hears why no more is taken, also while it waits`() async {
    let outbox = Outbox<Int, Failure>(limit: 1) {}
    let sender = Task { for number in 0..<3 { try await outbox.put(number, cost: 1) } }
    try? await Task.sleep(nanoseconds: 10_000_000)
    outbox.end(Failure(name: "lost"))
    await #expect(throws: Failure(name: "lost")) { try await sender.value }
    await outbox.ended()
  }
}
