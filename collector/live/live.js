'use strict';
(() => {
  const every = 5000, said = document.getElementById('said'), button = document.getElementById('pause');
  let paused = false;
  button.hidden = false;
  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? 'Go on' : 'Pause';
    said.textContent = paused ? 'Paused.' : '';
    if (!paused) look();
  });
  const look = async () => {
    const selection = getSelection();
    if (paused || document.hidden || (selection && !selection.isCollapsed)) return;
    try {
      const answer = await fetch(location.pathname, {cache: 'no-store', signal: AbortSignal.timeout(20000)});
      if (!answer.ok) throw new Error('it answers ' + answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').getElementById('main');
      if (paused || !fresh) return;
      const held = document.activeElement && document.activeElement.getAttribute('href');
      document.getElementById('main').replaceWith(document.adoptNode(fresh));
      if (held) for (const link of document.links) if (link.getAttribute('href') === held) { link.focus({preventScroll: true}); break; }
      said.textContent = '';
    } catch (error) {
      said.textContent = 'Not refreshed: ' + (error.name === 'TypeError' ? 'the collector does not answer' : error.message) + '. What stands here is older.';
    }
  };
  const turn = () => look().finally(() => setTimeout(turn, every));
  setTimeout(turn, every);
})();
