import Glibc
import MartletIO
import Testing

@Suite(.timeLimit(.minutes(5))) struct WorkerRingTests {
  @Test func `the ring refuses what is beyond its places or bytes, and takes more when something left`() {
    let few = WorkerRing<Int>(capacity: 4)
    #expect((0..<6).map { few.push($0, size: 1) } == [true, true, true, true, false, false])
    #expect(few.pop() == 0 && few.push(6, size: 1) && !few.push(7, size: 1))
    #expect((0..<5).map { _ in few.pop() } == [1, 2, 3, 6, nil])

    let small = WorkerRing<Int>(capacity: 64, byteLimit: 100)
    #expect(small.push(0, size: 60) && !small.push(1, size: 41) && small.push(2, size: 40) && small.push(3, size: 0))
    #expect(small.pop() == 0 && small.push(4, size: 60) && !small.push(5, size: 1))
  }

  @Test func `elements left in the ring go with it`() {
    final class Counted: Sendable {}
    var ring: WorkerRing<Counted>? = WorkerRing(capacity: 4)
    weak var last: Counted?
    do {
      let element = Counted()
      last = element
      _ = ring?.push(element, size: 1)
    }
    #expect(last != nil)
    ring = nil
    #expect(last == nil)
  }

  // Whoever waits gives its core away: on one core a ring of one place changes hands once a time slice otherwise.
  @Test(arguments: [1, 3, 64]) func `what one thread pushes another pops, once and in order`(capacity: Int) {
    let ring = WorkerRing<[Int]>(capacity: capacity)
    let count = 2_000 + 500 * capacity
    let producer = WorkerThread(name: "producer") {
      for number in 0..<count { while !ring.push([number], size: 8) { sched_yield() } }
    }
    var wrong = 0
    for expected in 0..<count {
      var element = ring.pop()
      while element == nil {
        sched_yield()
        element = ring.pop()
      }
      if element != [expected] { wrong += 1 }
    }
    producer.join()
    #expect(wrong == 0 && ring.pop() == nil)
  }
}
