import MartletIO
import MartletPrimitives
import MartletServer
import Testing

@Suite struct GatheringTests {
  /// Workers with a `Gathering` each, stopped at the end.
  private func withWorkers(
    _ count: Int, patience: TimeSpan = .seconds(2), _ body: ([Worker]) async -> Void
  ) async {
    let loops = (0..<count).map { EventLoop(index: $0) }
    let workers = loops.map { loop in
      Worker(loop, log: .silent) { context in context.register(Gathering(loops, patience: patience, in: context)) }
    }
    await body(workers)
    for worker in workers {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }

  /// Asks from `worker`, and answers where the result came and what it was.
  private func ask<Part: Sendable>(
    _ worker: Worker, _ question: @escaping @Sendable (LoopContext) -> Part
  ) async -> (parts: [Part], loop: Int) {
    await withCheckedContinuation { continuation in
      worker.loop.post { context in
        let loop = context.loop
        context.service(Gathering.self).ask(question) { parts in
          continuation.resume(returning: (parts, loop.isCurrent ? loop.index : -1))
        }
      }
    }
  }

  @Test func `every worker is asked, and the answers come in their order to the one that asked`() async {
    await withWorkers(4) { workers in
      for worker in workers {
        let answer = await ask(worker) { $0.loop.index }
        #expect(answer.parts == [0, 1, 2, 3] && answer.loop == worker.loop.index)
      }
    }
  }

  @Test func `many questions at once keep apart`() async {
    await withWorkers(3) { workers in
      await withTaskGroup(of: Bool.self) { group in
        for number in 0..<200 {
          group.addTask { await ask(workers[number % 3]) { _ in number }.parts == [number, number, number] }
        }
        for await isRight in group { #expect(isRight) }
      }
    }
  }

  @Test func `a worker that has stopped is left out after a while`() async {
    await withWorkers(3, patience: .milliseconds(50)) { workers in
      workers[1].loop.post { $0.stop() }
      // What was posted in the same turn may still be answered.
      var parts: [Int] = []
      for _ in 0..<20 where parts != [0, 2] { parts = await ask(workers[0]) { $0.loop.index }.parts }
      #expect(parts == [0, 2])
    }
  }

  @Test func `one worker alone answers itself`() async {
    await withWorkers(1) { workers in
      let answer = await ask(workers[0]) { _ in "a" }
      #expect(answer.parts == ["a"])
    }
  }
}
